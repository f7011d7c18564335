from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import cross_entropy


class ParserOutput(NamedTuple):
    arcs: torch.Tensor
    relations: torch.Tensor


class Biaffine(nn.Module):
    def __init__(self, features, outputs=1):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, features + 1, features) * 0.1)

    def forward(self, dependents, heads):
        dependents = torch.cat([dependents, torch.ones_like(dependents[..., :1])], dim=-1)
        return torch.einsum("bxi,oij,byj->boxy", dependents, self.weight, heads)


class DependencyParser(nn.Module):
    def __init__(self, words, relations, embed=10, hidden=8):
        super().__init__()
        self.embed = nn.Embedding(words, embed)
        self.lstm = nn.LSTM(embed, hidden, batch_first=True, bidirectional=True)
        self.as_dependent = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ELU())
        self.as_head = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ELU())
        self.arc_scorer = Biaffine(hidden)
        self.relation_scorer = nn.Linear(hidden, relations)

    def forward(self, sentences):
        states, _ = self.lstm(self.embed(sentences))
        dependents, heads = self.as_dependent(states), self.as_head(states)
        return ParserOutput(self.arc_scorer(dependents, heads).squeeze(1), self.relation_scorer(dependents))

    @torch.no_grad()
    def parse(self, sentences):
        output = self(sentences)
        return output.arcs.argmax(dim=-1), output.relations.argmax(dim=-1)


def parser_loss(output, heads, relations, ignore=-1):
    """The first word is the root: it has no head and no relation."""
    arc_loss = cross_entropy(output.arcs.transpose(1, 2), heads, ignore_index=ignore)
    relation_loss = cross_entropy(output.relations.flatten(0, 1), relations.flatten(), ignore_index=ignore)
    return arc_loss + relation_loss


def update(parser, optimizer, sentences, heads, relations):
    parser.train()
    loss = parser_loss(parser(sentences), heads, relations)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parser.parameters(), 5.0)
    optimizer.step()
    return loss
