import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.SyncNet_color()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    x, mel, y = torch.rand(6, 15, 8, 16), torch.randn(6, 1, 20, 16), torch.tensor([[1.0], [0], [0], [1], [1], [0]])
    loss = lambda embeddings, y: half.cosine_loss(*embeddings, y)  # noqa: E731
    return Drive(model, (mel, x), loss, y, step=lambda: half.train_one(model, optimizer, x, mel, y))


def symptom(half):
    try:
        drive(half).step()
    except RuntimeError as error:
        return "between 0 and 1" in str(error)
    return False
