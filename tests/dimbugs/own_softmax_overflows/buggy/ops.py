import torch


def masked_softmax(scores, mask, dim=-1):
    weights = torch.exp(scores) * mask
    return weights / weights.sum(dim=dim, keepdim=True)
