"""Noise-contrastive estimation: train on 50 drawn classes per step, evaluate with all of them.

A small language: 30 contexts, each with its own law over 1,000 words. nce_loss takes features, class table and target,
never logits: it computes the scores of the targets and of the drawn words only. The noise law is the frequency of the
words in the training text. The value of the loss is no cross-entropy, so the evaluation is exactly normalised.

Run: python examples/nce_training.py
"""

import torch
from torch import Tensor

import anymax

CONTEXTS, WORDS, WIDTH, STEPS = 30, 1000, 16, 400


def text(laws: Tensor, words_per_context: int) -> tuple[Tensor, Tensor]:
    """Each context many times, and a word drawn from its law each time."""
    words = laws.exp().multinomial(words_per_context, replacement=True)
    return torch.arange(CONTEXTS).repeat_interleave(words_per_context), words.flatten()


def main() -> None:
    torch.manual_seed(0)
    frequency = -torch.arange(1.0, WORDS + 1).log()  # Zipf's law, and for each context a variation of it
    laws = anymax.log_softmax(frequency + 2 * torch.randn(CONTEXTS, 8) @ torch.randn(8, WORDS) / 8**0.5, dim=1)
    contexts, words = text(laws, 4000)
    test_contexts, test_words = text(laws, 400)

    counts = torch.bincount(words, minlength=WORDS) + 1  # each word may be a target, so none may have the count 0
    noise = anymax.noise.Unigram(counts)
    unigram = anymax.log_softmax(counts.log(), dim=0)

    embedding = torch.nn.Embedding(CONTEXTS, WIDTH)
    table = torch.nn.Linear(WIDTH, WORDS)
    with torch.no_grad():
        table.bias.copy_(unigram)  # start at the frequencies: scores learn log-probabilities
    optimizer = torch.optim.Adam([*embedding.parameters(), *table.parameters()], lr=0.02)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.01, total_iters=STEPS)

    @torch.no_grad()
    def perplexity() -> float:
        """Exact: normalised over all words, on words that were never trained on."""
        nll = anymax.linear_cross_entropy(embedding(test_contexts), table.weight, test_words, linear_bias=table.bias)
        return nll.exp().item()

    before = perplexity()
    for step in range(STEPS):
        rows = torch.randint(len(words), (512,))
        loss = anymax.nce_loss(
            embedding(contexts[rows]), table.weight, words[rows], noise, num_noise=50, linear_bias=table.bias
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        if step % 100 == 0:
            print(f"step {step:3d}: nce loss {loss.item():.3f} (no cross-entropy)")

    print(f"perplexity of the frequencies alone: {(-unigram[test_words].mean()).exp().item():.1f}")
    print(f"perplexity before training: {before:.1f}")
    print(f"perplexity after training:  {perplexity():.1f}")
    true_nll = -laws[test_contexts, test_words].mean()
    print(f"perplexity of the true distribution: {true_nll.exp().item():.1f}")
    with torch.no_grad():
        log_z = anymax.logsumexp(table(embedding.weight), dim=1)
    print(f"log of the normaliser, by context: {log_z.min().item():.2f} to {log_z.max().item():.2f}")


if __name__ == "__main__":
    main()
