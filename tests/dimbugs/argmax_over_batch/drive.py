import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    service = half.Service()
    images, labels = torch.randn(7, 3, 4, 4), torch.randint(0, 5, (7,))

    def step():
        service.predict(images)
        return service.train(images, labels)

    return Drive(service.model, images, F.cross_entropy, labels, step=step)


def symptom(half):
    return len(half.Service().predict(torch.randn(7, 3, 4, 4)).labels) != 7
