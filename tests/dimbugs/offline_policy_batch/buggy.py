from functools import partial
from typing import Callable

import torch
from torch import nn
from torch.distributions import Categorical, Distribution


class Net(nn.Module):
    """The trunk that actor and critic share."""

    def __init__(self, state_dim: int, hidden_sizes: tuple[int, ...] = (16, 16)):
        super().__init__()
        sizes = (state_dim, *hidden_sizes)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.output_dim = sizes[-1]

    def forward(self, obs):
        for layer in self.layers:
            obs = torch.relu(layer(obs))
        return obs


class Actor(nn.Module):
    def __init__(self, preprocess_net: Net, num_actions: int):
        super().__init__()
        self.preprocess = preprocess_net
        self.last = nn.Linear(preprocess_net.output_dim, num_actions)

    def forward(self, obs):
        return self.last(self.preprocess(obs))


class PGPolicy:
    def __init__(self, actor: Actor, dist_fn: Callable[[torch.Tensor], Distribution], lr: float = 0.05):
        self.actor = actor
        self.dist_fn = dist_fn
        self.optim = torch.optim.Adam(actor.parameters(), lr=lr)

    def learn(self, obs, act, returns):
        dist = self.dist_fn(self.actor(obs))
        loss = -(dist.log_prob(act) * returns).mean()
        self.optim.zero_grad()
        loss.backward()
        self.optim.step()
        return loss


def make_policy(state_dim: int = 4, num_actions: int = 3) -> PGPolicy:
    actor = Actor(Net(state_dim), num_actions)
    return PGPolicy(actor, dist_fn=partial(Categorical, validate_args=False))
