import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.HRNetOCR(num_classes=5)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    images, labels = torch.rand(2, 3, 6, 8), torch.randint(0, 5, (2, 6, 8))
    step = lambda: half.train_iter(model, optimizer, images, labels)  # noqa: E731
    return Drive(model, images, half.ocr_loss, labels, step=step)


def symptom(half):
    """Whether the object of pixels that are all alike is not like them."""
    context = half.SpatialGather_Module()(torch.ones(2, 8, 6, 8), torch.randn(2, 5, 6, 8))
    return not torch.allclose(context, torch.ones(2, 5, 8), atol=1e-4)
