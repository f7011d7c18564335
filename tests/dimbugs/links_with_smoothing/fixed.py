import argparse

import torch
import torch.nn.functional as F
from torch import nn


class LinkPredictor(nn.Module):
    """Scores of all entities as the object of (subject, relation)."""

    def __init__(self, num_entities, num_relations, dim=8):
        super().__init__()
        self.emb_e = nn.Embedding(num_entities, dim)
        self.emb_rel = nn.Embedding(num_relations, dim)
        self.conv = nn.Conv2d(1, 4, kernel_size=(2, 3), padding=(0, 1))
        self.fc = nn.Linear(4 * dim, dim)
        self.b = nn.Parameter(torch.zeros(num_entities))

    def forward(self, queries):
        e1, rel = queries.unbind(dim=1)
        stacked = torch.stack([self.emb_e(e1), self.emb_rel(rel)], dim=1).unsqueeze(1)
        x = F.relu(self.conv(stacked)).flatten(1)
        x = F.relu(self.fc(x))
        return torch.einsum("bd,nd->bn", x, self.emb_e.weight) + self.b


def smooth(e2_multi, label_smoothing):
    return ((1.0 - label_smoothing) * e2_multi) + (label_smoothing / e2_multi.size(1))


def train_batch(model, opt, queries, e2_multi, label_smoothing=0.0):
    opt.zero_grad()
    if label_smoothing > 0:
        e2_multi = smooth(e2_multi, label_smoothing)
    loss = F.binary_cross_entropy_with_logits(model(queries), e2_multi)
    loss.backward()
    opt.step()
    return loss


def parse(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--label-smoothing", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=100)
    return parser.parse_args(argv)


def main(batches, num_entities, num_relations):
    args = parse()
    model = LinkPredictor(num_entities, num_relations)
    opt = torch.optim.Adam(model.parameters(), lr=args.lr)
    for _ in range(args.epochs):
        for queries, e2_multi in batches:
            train_batch(model, opt, queries, e2_multi, args.label_smoothing)
    return model
