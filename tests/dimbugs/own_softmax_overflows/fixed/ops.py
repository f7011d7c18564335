import torch


def masked_softmax(scores, mask, dim=-1):
    scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=dim)
