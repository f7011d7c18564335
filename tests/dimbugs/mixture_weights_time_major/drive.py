import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model = half.DreamModel(state_size=4, num_actions=2, components=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    states, actions = torch.randn(7, 5, 4), torch.randn(7, 5, 2)
    return Drive(
        model,
        (states[:-1], actions[:-1]),
        loss=half.surprise,
        target=states[1:],
        batch_dim=1,
        step=lambda: half.learn(model, optimizer, states, actions),
    )


def symptom(half):
    run = drive(half)
    return not sums_to_one(run.model(*run.example_input)[2].exp(), -1)
