import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    teller = half.Storyteller()
    optimizer = torch.optim.Adam(teller.parameters(), lr=1e-3)
    stories = torch.randint(0, 14, (3, 8))

    def step():
        teller.go_on(stories[:, :4])
        return half.learn(teller, optimizer, stories)

    return Drive(teller, stories, step=step)


def symptom(half):
    try:
        drive(half).step()
    except RuntimeError:
        return True
    return False
