from collections import namedtuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical

Outputs = namedtuple("Outputs", "logits value")


class AtariNet(nn.Module):
    def __init__(self, num_actions, frames=4):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(frames, 8, 5, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Linear(72, 32),
            nn.PReLU(),
        )
        self.fc_pi = nn.Linear(32, num_actions)
        self.fc_v = nn.Linear(32, 1)

    def forward(self, state):
        feature = self.trunk(state / 255.0)
        logits = self.fc_pi(feature)
        return Outputs(logits, self.fc_v(feature).squeeze(-1))


class Player:
    def __init__(self, net, entropy_beta=0.01, lr=1e-3):
        self.net = net
        self.entropy_beta = entropy_beta
        self.opt = torch.optim.Adam(net.parameters(), lr=lr, eps=1e-3)

    @torch.no_grad()
    def act(self, state):
        return Categorical(logits=self.net(state).logits).sample()

    def update(self, state, action, future_reward):
        out = self.net(state)
        pi = Categorical(logits=out.logits)
        advantage = future_reward - out.value.detach()
        policy_loss = -(pi.log_prob(action) * advantage).mean()
        value_loss = F.smooth_l1_loss(out.value, future_reward)
        cost = policy_loss + 0.5 * value_loss - self.entropy_beta * pi.entropy().mean()
        self.opt.zero_grad()
        cost.backward()
        self.opt.step()
        return cost
