import torch

LETTERS = "abcdefgh. "
WINDOW = 10


def encode(text):
    return torch.tensor([LETTERS.index(letter) for letter in text])


def windows(text, size=WINDOW):
    """Pieces of a text, and the same pieces one letter later."""
    codes = encode(text)
    pieces = codes.unfold(0, size + 1, size)
    return pieces[:, :-1], pieces[:, 1:]
