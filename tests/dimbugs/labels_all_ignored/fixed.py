import torch
import torch.nn as nn
import torch.nn.functional as F

IGNORE = -100


def collate(prompts, answers, length):
    """Pads to `length`; only the tokens of the answers are learned."""
    ids = torch.zeros(len(prompts), length, dtype=torch.long)
    labels = torch.full((len(prompts), length), IGNORE)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        text = (prompt + answer)[:length]
        ids[row, : len(text)] = torch.tensor(text)
        labels[row, len(prompt) : len(text)] = torch.tensor(text[len(prompt) :], dtype=torch.long)
    return ids, labels


class TinyLM(nn.Module):
    def __init__(self, vocab=12, dim=8):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.lm_head = nn.Linear(dim, vocab)

    def forward(self, ids):
        return self.lm_head(self.rnn(self.embed(ids))[0])


def sft_step(model, optimizer, ids, labels):
    logits = model(ids)[:, :-1].flatten(0, 1)
    targets = labels[:, 1:].flatten()
    total = F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum")
    loss = total / (targets != IGNORE).sum().clamp(min=1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
