"""Reads handwritten lines: a CNN over the columns of an image, trained with CTC, decoded greedily."""

from typing import List, Tuple

import torch
from torch import Tensor, nn

CHARS = " abcdefgh"
BLANK = len(CHARS)


class LineReader(nn.Module):
    def __init__(self, height: int = 8, hidden: int = 16) -> None:
        super().__init__()
        self.conv = nn.Conv1d(height, hidden, kernel_size=3, padding=1)
        self.out = nn.Conv1d(hidden, len(CHARS) + 1, kernel_size=1)

    def forward(self, lines: Tensor) -> Tensor:
        """Scores per column: (batch, height, width) -> (batch, width, chars + 1)."""
        return self.out(torch.relu(self.conv(lines))).transpose(1, 2)


def train_batch(model: LineReader, optimizer: torch.optim.Optimizer, lines: Tensor, texts: Tensor) -> Tensor:
    log_probs = model(lines).log_softmax(dim=-1).transpose(0, 1)  # CTC wants time first
    widths = torch.full((len(lines),), log_probs.size(0))
    lengths = torch.full((len(lines),), texts.size(1))
    loss = nn.functional.ctc_loss(log_probs, texts, widths, lengths, blank=BLANK)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def apply_softmax(mat: Tensor) -> Tensor:
    """Softmax over the characters of every time step."""
    return torch.softmax(mat, dim=-1)


def best_path(mat: Tensor) -> Tuple[str, float]:
    """Most likely characters of one line, repeats and blanks removed, and how sure we are."""
    best = mat.max(dim=-1)
    text, last = "", BLANK
    for char in best.indices.tolist():
        if char not in (last, BLANK):
            text += CHARS[char]
        last = char
    return text, best.values.mean().item()


@torch.no_grad()
def read_lines(model: LineReader, lines: Tensor) -> List[Tuple[str, float]]:
    model.eval()
    return [best_path(apply_softmax(mat)) for mat in model(lines)]
