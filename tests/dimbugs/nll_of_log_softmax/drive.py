import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model, step_rule = half.FastLearner(), half.StepRule()
    optimizer = torch.optim.Adam(step_rule.parameters(), lr=1e-2)
    x, y = torch.randn(4, 1, 4, 4), torch.tensor([0, 5, 2, 3])
    return Drive(model, x, half.loss_of, y, step=lambda: half.meta_step(model, step_rule, optimizer, x, y))
