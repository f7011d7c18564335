import torch
from torch import nn
from torch.nn import functional as F


class Storyteller(nn.Module):
    def __init__(self, tokens=14, size=8, longest=12):
        super().__init__()
        self.longest = longest
        self.token = nn.Embedding(tokens, size)
        self.position = nn.Embedding(longest, size)
        self.layer = nn.TransformerEncoderLayer(size, 2, 16, dropout=0.0, batch_first=True)
        self.following = nn.Linear(size, tokens)

    def forward(self, story):
        length = story.shape[1]
        past_only = nn.Transformer.generate_square_subsequent_mask(length)
        x = self.token(story) + self.position.weight[:length]
        return self.following(self.layer(x, src_mask=past_only, is_causal=True))

    @torch.no_grad()
    def go_on(self, story, tokens=3, temperature=1.0):
        for _ in range(tokens):
            scores = self(story[:, -self.longest :])[:, -1] / temperature
            story = torch.hstack([story, torch.multinomial(scores, 1)])
        return story


def learn(teller, optimizer, stories):
    scores = teller(stories[:, :-1])
    loss = F.cross_entropy(scores.transpose(1, 2), stories[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
