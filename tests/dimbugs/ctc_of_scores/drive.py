import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    task = half.AlignTask({"mels": 5, "phones": 6, "lr": 1e-3, "lambda_bd": 1.0, "lambda_ctc": 0.5})
    sample = {
        "mel": torch.randn(3, 9, 5),
        "ph_bd": torch.randint(0, 2, (3, 9)).float(),
        "ph": torch.randint(1, 7, (3, 4)),
        "mel_lengths": torch.tensor([9, 9, 9]),
        "ph_lengths": torch.tensor([4, 3, 4]),
    }
    return Drive(task.model, sample["mel"], step=lambda: task.training_step(sample))


def symptom(half):
    """Whether the same constant for all phones makes the loss negative."""
    task = half.AlignTask({"mels": 5, "phones": 6, "lr": 1e-3, "lambda_bd": 1.0, "lambda_ctc": 0.5})
    lengths, losses = torch.tensor([9, 9]), {}
    sample = {"ph": torch.randint(1, 7, (2, 4)), "mel_lengths": lengths, "ph_lengths": lengths // 3}
    task.add_ctc_loss(torch.full((2, 9, 7), 10.0), sample, losses)
    return float(losses["ph_ctc"]) < 0
