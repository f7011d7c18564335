import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.GPTModel(half.GPT_CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    text = torch.randint(0, 20, (3, 7))

    def step():
        optimizer.zero_grad()
        loss = half.calc_loss_batch(text[:, :-1], text[:, 1:], model)
        loss.backward()
        optimizer.step()
        return loss

    return Drive(model, text[:, :-1], lambda logits, text: F.cross_entropy(logits.mT, text), text[:, 1:], step=step)


@torch.no_grad()
def symptom(half):
    """Whether the prediction after the first token moves when the last one changes."""
    run = drive(half)
    changed = run.example_input.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 20
    before, after = run.model(run.example_input), run.model(changed)
    return not torch.allclose(before[:, 0], after[:, 0], atol=1e-6)
