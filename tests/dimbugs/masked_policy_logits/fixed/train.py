import torch

from .policy import MaskedPolicy


class ActionDistribution:
    def __init__(self, inputs):
        self.dist = torch.distributions.Categorical(probs=inputs)

    def sample(self):
        return self.dist.sample()

    def logp(self, actions):
        return self.dist.log_prob(actions)


class Worker:
    def __init__(self):
        self.policy = MaskedPolicy()
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=1e-2)

    def compute_actions(self, obs, allowed):
        inputs, values = self.policy(obs, allowed)
        dist = ActionDistribution(inputs)
        return dist, values

    def update(self, obs, allowed, rewards):
        dist, values = self.compute_actions(obs, allowed)
        actions = dist.sample()
        advantage = rewards - values
        loss = -(dist.logp(actions) * advantage.detach()).mean() + advantage.pow(2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
