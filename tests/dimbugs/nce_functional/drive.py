import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    trainer = half.Word2Vec()
    context, target = torch.randint(0, 50, (6, 4)), torch.randint(0, 50, (6,))
    return Drive(trainer.model, context, step=lambda: trainer.train_batch(context, target))


def symptom(half):
    try:
        drive(half).step()
    except AttributeError:
        return True
    return False
