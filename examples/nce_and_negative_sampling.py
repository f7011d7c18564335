"""Noise-contrastive estimation and negative sampling: the same draws, two losses, two meanings of a score.

Both tell a word from k words that were drawn from noise probabilities q. NCE compares a score with log(k q), so that
scores learn log p: the sum of their exponentials is 1, up to how well the model is trained. Negative sampling, as in
word2vec, leaves log(k q) out, so that scores learn log(p / (k q)): pointwise mutual information minus log k. These are
fine for comparing words and are not log-probabilities; their largest one is often not the most probable word.

Run: python examples/nce_and_negative_sampling.py
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

import anymax

CONTEXTS, WORDS, DRAWN, STEPS = 4, 20, 10, 600


def negative_sampling(features: Tensor, table: torch.nn.Linear, words: Tensor, noise: anymax.noise.Noise) -> Tensor:
    scores = table(features)
    drawn = noise.sample((len(words), DRAWN)).ids
    return softplus(-scores.gather(1, words[:, None])).squeeze(1) + softplus(scores.gather(1, drawn)).sum(1)


def nce(features: Tensor, table: torch.nn.Linear, words: Tensor, noise: anymax.noise.Noise) -> Tensor:
    drawn = noise.sample((len(words), DRAWN))
    return anymax.nce_loss(features, table.weight, words, drawn, linear_bias=table.bias, reduction="none")


def train(loss_of: Callable[..., Tensor], log_p: Tensor, noise: anymax.noise.Noise) -> Tensor:
    """The scores after training on every word in every context, weighted by how often it occurs there."""
    torch.manual_seed(0)
    table = torch.nn.Linear(CONTEXTS, WORDS)
    optimizer = torch.optim.Adam(table.parameters(), lr=0.1)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.01, total_iters=STEPS)
    contexts, words = torch.arange(CONTEXTS).repeat_interleave(WORDS), torch.arange(WORDS).repeat(CONTEXTS)
    features = torch.eye(CONTEXTS)[contexts]
    for _ in range(STEPS):
        loss = (log_p.exp().flatten() * loss_of(features, table, words, noise)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    return table(torch.eye(CONTEXTS)).detach()


def report(name: str, scores: Tensor, log_p: Tensor, log_kq: Tensor) -> None:
    p = log_p.exp()
    print(name)
    print("  sum of exp(score), by context:     ", scores.exp().sum(1))
    print("  mean |score - log p|:              ", round((p * (scores - log_p).abs()).sum(1).mean().item(), 3))
    print("  mean |score - log(p / (k q))|:     ", round((p * (scores - log_p + log_kq).abs()).sum(1).mean().item(), 3))
    print("  largest |softmax(score) - p|:      ", round((scores.softmax(1) - p).abs().max().item(), 3))
    right = (scores.argmax(1) == log_p.argmax(1)).sum().item()
    print(f"  best score is the likeliest word:   {right} of {CONTEXTS} contexts")


def main() -> None:
    torch.manual_seed(0)
    frequency = -1.5 * torch.arange(1.0, WORDS + 1).log()  # a few words are frequent everywhere
    log_p = anymax.log_softmax(frequency + torch.randn(CONTEXTS, WORDS), dim=1)  # and each context varies them
    noise = anymax.noise.Unigram(log_p.exp().mean(0))
    log_kq = torch.log(DRAWN * log_p.exp().mean(0))
    report("noise-contrastive estimation", train(nce, log_p, noise), log_p, log_kq)
    report("negative sampling", train(negative_sampling, log_p, noise), log_p, log_kq)


if __name__ == "__main__":
    main()
