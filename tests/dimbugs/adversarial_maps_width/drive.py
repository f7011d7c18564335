import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model, judge = half.SegNet(), half.make_discriminator()
    trainer = half.AdversarialTrainer(model, judge)
    images, labels = torch.randn(2, 3, 8, 10), torch.randint(0, half.NUM_CLASSES, (2, 8, 10))
    unlabelled = torch.randn(2, 3, 8, 10)
    return Drive(model, images, F.cross_entropy, labels, step=lambda: trainer.step(images, labels, unlabelled))


def symptom(half):
    """Whether what the discriminator sees of a picture is no distribution over the classes."""
    run = drive(half)
    seen = []
    discriminator = half.make_discriminator()
    discriminator.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    trainer = half.AdversarialTrainer(run.model, discriminator)
    trainer.step(run.example_input, run.target, run.example_input)
    return not all(sums_to_one(maps, 1) for maps in seen)
