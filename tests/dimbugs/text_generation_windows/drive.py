import torch

from tests.dimbugs.driving import Drive

TEXT = "abc. def. gab. head. bed. face. cab. dead. beef. "


def drive(half):
    torch.manual_seed(0)
    net = half.NextLetter()
    writing = half.Writing(net)
    return Drive(net, half.windows(TEXT)[0], step=lambda: writing.practise(TEXT))


def symptom(half):
    """Whether the loss is not low for the right letters."""

    class Oracle(torch.nn.Linear):
        def forward(self, text):
            return torch.nn.functional.one_hot(half.windows(TEXT)[1], 10) * 20 + 0 * self.weight.sum()

    return float(half.Writing(Oracle(1, 1)).practise(TEXT)) > 0.1
