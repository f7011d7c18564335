import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model = half.DeepBeats()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    beats, notes = torch.rand(3, 7, 2), torch.randint(0, 12, (3, 6))
    shifted, played = notes[:, :-1], notes[:, 1:]
    step = lambda: half.train(model, optimizer, beats, played, shifted)  # noqa: E731
    return Drive(model, (beats, shifted), model.loss_function, played, step=step)


def symptom(half):
    """Whether the weights of the beats of a note do not sum to 1."""
    return not sums_to_one(drive(half).model.decoder.weights(torch.randn(3, 7, 8), torch.randn(3, 5, 8)), 1)
