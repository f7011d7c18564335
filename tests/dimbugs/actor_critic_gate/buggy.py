import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical


class FCBody(nn.Module):
    """Layers of the given sizes, the gate after each of them."""

    def __init__(self, sizes, gate=F.relu):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in zip(sizes, sizes[1:], strict=False))
        self.gate = gate

    def forward(self, x):
        for layer in self.layers:
            x = self.gate(layer(x))
        return x


def softmax_gate(x):
    return F.softmax(x, dim=-1)


def no_gate(x):
    return x


class CategoricalActorCriticNet(nn.Module):
    def __init__(self, state_dim, action_dim, hidden=32):
        super().__init__()
        self.phi = FCBody([state_dim, hidden, hidden], gate=torch.tanh)
        self.actor = FCBody([hidden, action_dim], gate=softmax_gate)
        self.critic = FCBody([hidden, 1], gate=no_gate)

    def forward(self, obs):
        phi = self.phi(obs)
        return self.actor(phi), self.critic(phi).squeeze(-1)

    def distribution(self, obs):
        return Categorical(logits=self(obs)[0])


class A2CAgent:
    def __init__(self, network, lr=1e-2, entropy_weight=0.01, value_loss_weight=0.5):
        self.network = network
        self.optimizer = torch.optim.Adam(network.parameters(), lr=lr)
        self.entropy_weight, self.value_loss_weight = entropy_weight, value_loss_weight

    def step(self, states, actions, returns):
        logits, value = self.network(states)
        dist = Categorical(logits=logits)
        advantage = returns - value.detach()
        policy_loss = -(dist.log_prob(actions) * advantage).mean()
        value_loss = F.mse_loss(value, returns)
        loss = policy_loss - self.entropy_weight * dist.entropy().mean() + self.value_loss_weight * value_loss
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5)
        self.optimizer.step()
        return loss
