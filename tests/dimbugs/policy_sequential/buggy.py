import torch
from torch import nn
from torch.distributions import Categorical


def make_policy(state_size, num_actions, width=24):
    return nn.Sequential(
        nn.Linear(state_size, width),
        nn.ELU(),
        nn.Linear(width, num_actions),
        nn.Softmax(dim=0),
    )


def returns_of(rewards, gamma):
    """The discounted sum of what follows each step."""
    total, returns = 0.0, []
    for reward in reversed(rewards.tolist()):
        total = reward + gamma * total
        returns.append(total)
    return torch.tensor(returns[::-1])


class Reinforce:
    def __init__(self, state_size=4, num_actions=2, gamma=0.98, lr=5e-3):
        self.policy = make_policy(state_size, num_actions)
        self.gamma = gamma
        self.optimizer = torch.optim.RMSprop(self.policy.parameters(), lr=lr)

    def choose(self, state):
        return Categorical(probs=self.policy(state)).sample()

    def learn(self, states, actions, rewards):
        returns = returns_of(rewards, self.gamma)
        chosen = Categorical(probs=self.policy(states)).log_prob(actions)
        loss = -(returns * chosen).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
