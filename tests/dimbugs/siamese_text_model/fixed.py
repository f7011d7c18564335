import torch
from torch import nn
from torch.nn import functional as nnf


class Tower(nn.Module):
    """Letters of a text, (batch, letters, length), to a point."""

    def __init__(self, letters=10, size=6):
        super().__init__()
        self.ngrams = nn.Conv1d(letters, 12, kernel_size=3, padding=1)
        self.meaning = nn.Linear(12, size)

    def forward(self, text):
        return torch.tanh(self.meaning(nnf.max_pool1d(self.ngrams(text), text.size(-1)).squeeze(-1)))


class SearchModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.of_query = Tower()
        self.of_page = Tower()
        self.sharpness = nn.Parameter(torch.tensor(5.0))

    def similarity(self, query, page):
        return nnf.cosine_similarity(self.of_query(query), self.of_page(page), dim=-1)

    def forward(self, query, pages):
        similarities = torch.stack([self.similarity(query, page) for page in pages], dim=-1)
        return self.sharpness * similarities


def learn_click(model, criterion, optimizer, query, clicked, ignored):
    """The page that was clicked stands first."""
    chances = model(query, [clicked, *ignored])
    first = torch.zeros(len(query), dtype=torch.int64)
    loss = criterion(chances, first)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
