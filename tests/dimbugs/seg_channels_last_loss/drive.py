import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    trainer = half.make_trainer()
    images, masks = torch.randn(2, 1, 6, 8), torch.randint(0, 3, (2, 6, 8))

    def step():
        loss = trainer.epoch([(images, masks)])
        trainer.validate([(images, masks)])
        return loss

    return Drive(trainer.model, images, step=step)


def symptom(half):
    try:
        drive(half).step()
    except RuntimeError:
        return True
    return False
