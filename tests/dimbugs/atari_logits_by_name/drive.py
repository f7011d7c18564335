import torch
from torch.distributions import Categorical

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    player = half.Player(half.AtariNet(num_actions=4))
    state, action, reward = torch.randint(0, 256, (3, 4, 20, 20)).float(), torch.tensor([0, 3, 2]), torch.randn(3)
    return Drive(player.net, state, step=lambda: player.update(state, action, reward))


def symptom(half):
    """Whether scores that are far apart still leave the choice open."""
    run = drive(half)
    run.model.fc_pi.bias.data[2] = 60.0
    pi = Categorical(logits=run.model(run.example_input).logits)
    return bool((pi.probs[:, 2] < 0.5).all())
