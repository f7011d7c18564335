import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    net = half.build_ssd().eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    images = torch.randn(2, 3, 8, 8)
    boxes = net(images)[0].shape[1]
    targets = torch.randn(2, boxes, 4), torch.randint(0, 3, (2, boxes))

    def step():
        loss = half.train_iteration(net, optimizer, images, targets)
        half.detect(net, images)
        return loss

    return Drive(net, images, step=step)


def symptom(half):
    run = drive(half)
    return not sums_to_one(run.model(run.example_input)[1], -1)
