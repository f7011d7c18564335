"""Attention without softmax: a small character model of Python's manual, trained with four maps over the keys.

Softmax has to give its whole weight to somebody. A learned sink per head takes what no key deserves, entmax gives most
keys exactly 0, and softpick need not give anything. The first token is where softmax tends to leave what it has to
spare: its share is shown, the mean over all heads and the largest of a head, with what the weights sum to and how many
of them are exactly 0.

Run: python examples/attention.py --maps=softmax,sink,entmax,softpick --steps=600 --seeds=2
"""

import argparse
import math
from pydoc_data.topics import topics

import torch
from torch import Tensor, nn

import anymax

WINDOW, WIDTH, HEADS, LAYERS, BATCH = 64, 64, 4, 2, 32
# what comes before has few keys to choose from
FIRST_QUERY = 16

MAPS = {
    "softmax": lambda scores, mask, sink: anymax.softmax(scores, "batch heads query [key]", mask=mask),
    "sink": lambda scores, mask, sink: anymax.softmax(scores, "batch heads query [key]", mask=mask, sink=sink),
    "entmax": lambda scores, mask, sink: anymax.entmax(scores, "batch heads query [key]", alpha=1.5, mask=mask),
    "softpick": lambda scores, mask, sink: anymax.softpick(scores, "batch heads query [key]", mask=mask),
}


class Attention(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.weights_of = MAPS[name]
        self.projection = nn.Linear(WIDTH, 3 * WIDTH)
        self.output = nn.Linear(WIDTH, WIDTH)
        self.sink = nn.Parameter(torch.zeros(HEADS, 1, 1)) if name == "sink" else None

    def forward(self, x: Tensor) -> Tensor:
        # (batch, heads, token, width of a head)
        query, key, value = self.projection(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        scores = query @ key.mT / math.sqrt(key.shape[-1])
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        self.weights = self.weights_of(scores, causal, self.sink)
        return self.output((self.weights @ value).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.attention = Attention(name)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.network = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norms[0](x))
        return x + self.network(self.norms[1](x))


class Model(nn.Module):
    def __init__(self, name: str, num_characters: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(num_characters, WIDTH)
        self.places = nn.Embedding(WINDOW, WIDTH)
        self.blocks = nn.Sequential(*(Block(name) for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, num_characters)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.characters(ids) + self.places.weight)))


def text() -> tuple[Tensor, int]:
    """The help topics that come with Python, as ids of characters."""
    letters = "".join(topics[name] for name in sorted(topics))
    alphabet = {letter: number for number, letter in enumerate(sorted(set(letters)))}
    return torch.tensor([alphabet[letter] for letter in letters]), len(alphabet)


def windows(ids: Tensor, size: int) -> tuple[Tensor, Tensor]:
    starts = torch.randint(len(ids) - WINDOW, (size, 1)) + torch.arange(WINDOW)
    return ids[starts], ids[starts + 1]


def train(name: str, seed: int, steps: int) -> list[float]:
    """Nats per character of text that was not trained on; first token, mean and largest head; sum of weights; zeros."""
    ids, num_characters = text()
    trained, tested = ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :]
    torch.manual_seed(seed)
    model = Model(name, num_characters)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        inputs, target = windows(trained, BATCH)
        optimizer.zero_grad()
        anymax.cross_entropy(model(inputs), target, dim=2).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        inputs, target = windows(tested, 256)
        loss = anymax.cross_entropy(model(inputs), target, dim=2)
        # (layer, batch, head, query, key)
        weights = torch.stack([block.attention.weights for block in model.blocks])[..., FIRST_QUERY:, :]
        first = weights[..., 0].mean((1, 3))
        causal = torch.ones(WINDOW, WINDOW, dtype=torch.bool).tril()[FIRST_QUERY:]
        zeros = (weights == 0)[..., causal].double()
        return [value.item() for value in (loss, first.mean(), first.max(), weights.sum(-1).mean(), zeros.mean())]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--maps", default=",".join(MAPS))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    print("map        seed    loss  first token  largest head  sum of weights   zeros")
    for name in options.maps.split(","):
        for seed in range(options.seeds):
            loss, first, largest, total, zeros = train(name, seed, options.steps)
            print(f"{name:9} {seed:5} {loss:7.3f} {first:12.3f} {largest:13.3f} {total:15.3f} {zeros:7.3f}", flush=True)


if __name__ == "__main__":
    main()
