import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    net = half.CrowdCounter()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    labels = F.one_hot(torch.tensor([1, 0, 9]), 10).float()
    blob = {"data": torch.rand(3, 1, 16, 24), "gt_density": torch.rand(3, 1, 16, 24), "gt_class_label": labels}
    return Drive(net, blob["data"], step=lambda: half.train_step(net, optimizer, blob))


def symptom(half):
    run = drive(half)
    return mixes_samples(lambda images: run.model(images)[1], run.example_input)
