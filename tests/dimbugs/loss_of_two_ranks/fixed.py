import torch
import torch.nn.functional as functional
from torch import nn


def cross_entropy(inputs, targets):
    """Mean of -log p(target); the inputs are scores, one for each word."""
    log_probs = functional.log_softmax(inputs, dim=-1)
    return -log_probs.gather(-1, targets.unsqueeze(-1)).mean()


class RecurrentLM(nn.Module):
    def __init__(self, vocab_size, d_model=12):
        super().__init__()
        self.token_embeddings = nn.Embedding(vocab_size, d_model)
        self.rnn = nn.LSTM(d_model, d_model, batch_first=True)
        self.lm_head = nn.Linear(d_model, vocab_size, bias=False)

    def forward(self, x):
        states, _ = self.rnn(self.token_embeddings(x))
        return self.lm_head(states)


def get_batch(dataset, batch_size, context_length):
    starts = torch.randint(len(dataset) - context_length, (batch_size,)).tolist()
    x = torch.stack([dataset[i : i + context_length] for i in starts])
    y = torch.stack([dataset[i + 1 : i + 1 + context_length] for i in starts])
    return x, y


def train(model, optimizer, dataset, steps, batch_size=4, context_length=6):
    model.train()
    for _ in range(steps):
        x, y = get_batch(dataset, batch_size, context_length)
        loss = cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss


@torch.no_grad()
def evaluate(model, dataset, batch_size=4, context_length=6):
    """How surprising the word after a whole context is."""
    model.eval()
    x, y = get_batch(dataset, batch_size, context_length)
    return cross_entropy(model(x)[:, -1], y[:, -1])


def train_and_report(model, optimizer, dataset, steps):
    start = evaluate(model, dataset)
    loss = train(model, optimizer, dataset, steps)
    return loss, start, evaluate(model, dataset)
