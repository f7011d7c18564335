import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    fpn = half.FPN(n_classes=4)
    optimizer = torch.optim.SGD(fpn.parameters(), lr=1e-2)
    im_data = torch.rand(2, 3, 8, 12)
    rpn_label, rois_label = torch.randint(0, 2, (2, 3 * 4 * 6)), torch.randint(0, 4, (2, 6))
    step = lambda: half.train_iter(fpn, optimizer, im_data, rpn_label, rois_label)  # noqa: E731
    return Drive(fpn, im_data, step=step)


def symptom(half):
    run = drive(half)
    return not sums_to_one(run.model(run.example_input)[0], 2)
