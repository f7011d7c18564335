import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    args = half.parse_args([])
    model = half.TabularModel((5, 7), 3, args.layers)
    x_cat, x_cont = torch.stack([torch.randint(0, n, (8,)) for n in (5, 7)], dim=1), torch.randn(8, 3)
    tipped = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    rides = [(x_cat, x_cont, tipped)]
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    run = Drive(model, (x_cat, x_cont), half.LOSSES[args.loss], tipped.float())
    run.step = lambda: half.process_epoch(rides, model, half.LOSSES[args.loss], optimizer)
    return run


def symptom(half):
    """Whether a score below 0 is refused."""
    try:
        half.LOSSES["bce"](torch.tensor([-1.0, 2.0]), torch.tensor([0.0, 1.0]))
    except RuntimeError:
        return True
    return False
