import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    trainer = half.DistributedTrainer(half.make_parts, {"columns": 5})
    rows, answers = half.half_plane(5).tensors
    return Drive(trainer.model, rows, trainer.loss, answers, step=lambda: trainer.step(rows, answers))


def symptom(half):
    try:
        drive(half).step()
    except RuntimeError:
        return True
    return False
