import torch
import torch.nn as nn


class PathAttention(nn.Module):
    def __init__(self, dim=8, heads=2):
        super().__init__()
        self.heads = heads
        self.qk = nn.Linear(dim, 2 * dim)
        self.v = nn.Linear(dim, dim)

    def forward(self, x, path_mask):
        batch, length, dim = x.shape
        q, k = self.qk(x).view(batch, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2)
        scores = scores.masked_fill(~path_mask[:, None, None, :], -1e9)
        attention = scores.softmax(dim=-1)
        v = self.v(x).view(batch, length, self.heads, -1).transpose(1, 2)
        return (attention @ v).transpose(1, 2).reshape(batch, length, dim)


class RelationModel(nn.Module):
    def __init__(self, relations=4):
        super().__init__()
        self.attention = PathAttention()
        self.classify = nn.Linear(8, relations)

    def forward(self, x, path_mask):
        return self.classify(self.attention(x, path_mask).mean(dim=1))


def make_model(fp16=True):
    model = RelationModel()
    return model.half() if fp16 else model


def train_step(model, optimizer, x, path_mask, labels):
    logits = model(x.half(), path_mask)
    loss = nn.functional.cross_entropy(logits.float(), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
