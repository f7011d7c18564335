import torch
import torch.nn as nn
import torch.nn.functional as F


class ReadHeads(nn.Module):
    """Reads cells by what they hold, or those written just before or after the cells read last."""

    def __init__(self, input_size, cell_size, read_heads=1):
        super().__init__()
        self.read_heads = read_heads
        self.read_keys = nn.Linear(input_size, cell_size * read_heads)
        self.read_strengths = nn.Linear(input_size, read_heads)
        self.read_modes = nn.Linear(input_size, 3 * read_heads)

    def by_content(self, memory, keys, strengths):
        d = F.cosine_similarity(keys.unsqueeze(2), memory.unsqueeze(1), dim=-1)  # b * r * n
        return F.softmax(d * strengths.unsqueeze(2), dim=2)

    def forward(self, xi, memory, link, last):
        b, r = xi.size(0), self.read_heads
        keys = self.read_keys(xi).view(b, r, -1)  # b * r * w
        strengths = F.softplus(self.read_strengths(xi)).view(b, r)  # b * r
        modes = F.softmax(self.read_modes(xi).view(b, r, 3), 2)  # b * r * 3

        before = modes[:, :, 0:1] * torch.bmm(last, link)
        alike = modes[:, :, 1:2] * self.by_content(memory, keys, strengths)
        after = modes[:, :, 2:3] * torch.bmm(last, link.transpose(1, 2))
        weights = before + alike + after
        return torch.bmm(weights, memory), weights


class StoryReader(nn.Module):
    def __init__(self, vocab, size=6, steps=3):
        super().__init__()
        self.steps = steps
        self.embed = nn.Embedding(vocab, size)
        self.heads = ReadHeads(size, size)
        self.cell = nn.GRUCell(size, size)
        self.answer = nn.Linear(size, vocab)

    def forward(self, story, question):
        memory, state = self.embed(story), self.embed(question)
        b, n, _ = memory.shape
        link = torch.diag(torch.ones(n - 1), -1).expand(b, n, n)
        weights = memory.new_full((b, self.heads.read_heads, n), 1 / n)
        for _ in range(self.steps):
            found, weights = self.heads(state, memory, link, weights)
            state = self.cell(found.mean(dim=1), state)
        return self.answer(state)


def train_batch(model, optimizer, story, question, answer):
    loss = F.cross_entropy(model(story, question), answer)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
