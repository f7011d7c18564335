import torch
from torch import nn

TEMPERATURE = 2.0
WEIGHTS = {"hard": 0.5, "soft": 0.5}

kl = nn.KLDivLoss(reduction="batchmean")
LOSSES = {
    "hard": nn.CrossEntropyLoss(),
    "soft": lambda student, teacher: (
        kl(
            (student / TEMPERATURE).log_softmax(dim=-1),
            (teacher / TEMPERATURE).softmax(dim=-1),
        )
        * TEMPERATURE**2
    ),
}


class RegimeLSTM(nn.Module):
    """Whether a series rises, falls or stays, from its last values."""

    def __init__(self, series=2, hidden=8, regimes=3, layers=1):
        super().__init__()
        self.lstm = nn.LSTM(series, hidden, num_layers=layers, batch_first=True)
        self.fc = nn.Linear(hidden, regimes)

    def forward(self, window):
        _, (last, _) = self.lstm(window)
        return self.fc(last[-1])


def distill(student, teacher, optimizer, windows, regimes):
    teacher.eval()
    with torch.no_grad():
        teacher_logits = teacher(windows)
    student_logits = student(windows)

    targets = {"hard": regimes, "soft": teacher_logits}
    loss = sum(WEIGHTS[name] * LOSSES[name](student_logits, target) for name, target in targets.items())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
