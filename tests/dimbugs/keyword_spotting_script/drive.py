import importlib

import torch

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    script = importlib.reload(half)  # its model is made as the script runs
    return Drive(
        script.cnn,
        script.mel_spectrograms,
        script.loss_fn,
        torch.arange(4),
        step=lambda: script.train_single_epoch(script.cnn, script.train_dataloader, script.loss_fn, script.optimiser),
    )


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(4) - 1e-3)
