import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.LinkPredictor(num_entities=6, num_relations=2)
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    queries = torch.tensor([[0, 1], [3, 0], [5, 1]])
    e2_multi = torch.zeros(3, 6)
    e2_multi[0, [2, 4]] = e2_multi[1, 1] = e2_multi[2, 3] = 1.0
    step = lambda: half.train_batch(model, opt, queries, e2_multi, label_smoothing=0.1)  # noqa: E731
    return Drive(model, queries, F.binary_cross_entropy_with_logits, e2_multi, step=step)


def symptom(half):
    return float(half.smooth(torch.eye(6), 0.1).max()) > 1
