import torch
from torch import nn
from torch.nn import functional as F

CONFIG = {"vocab_size": 12, "d_model": 16, "context_window": 6, "batch_size": 4}


def encode(text, itos):
    return torch.tensor([itos.index(ch) for ch in text])


def get_batches(data, config):
    ix = torch.randint(0, data.size(0) - config["context_window"] - 1, (config["batch_size"],)).tolist()
    x = torch.stack([data[i : i + config["context_window"]] for i in ix])
    y = torch.stack([data[i + 1 : i + config["context_window"] + 1] for i in ix])
    return x, y


class CausalHead(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w_qkv = nn.Linear(config["d_model"], 3 * config["d_model"], bias=False)

    def forward(self, x):
        q, k, v = self.w_qkv(x).chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class SimpleModel(nn.Module):
    def __init__(self, config=CONFIG):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config["vocab_size"], config["d_model"])
        self.head = CausalHead(config)
        self.linear = nn.Sequential(
            nn.Linear(config["d_model"], config["d_model"]),
            nn.SiLU(),
            nn.Linear(config["d_model"], config["vocab_size"]),
        )

    def forward(self, idx, targets=None):
        x = self.embedding(idx)
        x = x + self.head(x)
        logits = F.softmax(self.linear(x), dim=-1)
        if targets is None:
            return logits
        loss = F.cross_entropy(logits.view(-1, self.config["vocab_size"]), targets.view(-1))
        return logits, loss


def train(model, optimizer, data, config=CONFIG, epochs=1):
    for _ in range(epochs):
        xs, ys = get_batches(data, config)
        optimizer.zero_grad()
        _, loss = model(xs, targets=ys)
        loss.backward()
        optimizer.step()
    return loss
