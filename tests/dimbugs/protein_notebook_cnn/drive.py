import torch

from tests.dimbugs.driving import Drive, sums_to_one

SEQUENCES = ["ACDEFGHIKL", "MNPQRSTVWY", "AAAAKKKKEE", "VVTTVVIIYY"]


def drive(half):
    folds = torch.tensor([2, 1, 0, 1])
    inputs = half.encode(SEQUENCES)
    return Drive(half.model, inputs, half.criterion, folds, step=lambda: half.train_step(SEQUENCES, folds))


def symptom(half):
    run = drive(half)
    return sums_to_one(run.model(run.example_input), 1)
