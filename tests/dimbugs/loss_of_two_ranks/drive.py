import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.RecurrentLM(10)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    dataset = torch.randint(0, 10, (50,))
    x, y = half.get_batch(dataset, 4, 6)
    return Drive(
        model, x, half.cross_entropy, y, step=lambda: half.train_and_report(model, optimizer, dataset, steps=1)[0]
    )


def symptom(half):
    """Whether scores without a preference cost something else than the logarithm of their number."""
    loss = half.cross_entropy(torch.zeros(2, 7, 20), torch.zeros(2, 7, dtype=torch.int64))
    return abs(float(loss) - 2.9957) > 1e-3
