import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical


class Actor(nn.Module):
    def __init__(self, state_dim, action_dim, net_width=16):
        super().__init__()
        self.l1 = nn.Linear(state_dim, net_width)
        self.l2 = nn.Linear(net_width, net_width)
        self.l3 = nn.Linear(net_width, action_dim)

    def forward(self, state, softmax_dim=0):
        n = torch.tanh(self.l1(state))
        n = torch.tanh(self.l2(n))
        return F.softmax(self.l3(n), dim=softmax_dim)


class PPO_discrete:
    def __init__(self, state_dim, action_dim, lr=1e-3, clip_rate=0.2, gamma=0.99):
        self.actor = Actor(state_dim, action_dim)
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=lr)
        self.clip_rate, self.gamma = clip_rate, gamma
        self.data = []

    def select_action(self, state, deterministic=False):
        with torch.no_grad():
            pi = self.actor(state)
            if deterministic:
                return torch.argmax(pi).item(), None
            a = Categorical(pi).sample().item()
            return a, pi[a].item()

    def put_data(self, s, a, prob_a, reward):
        self.data.append((s, a, prob_a, reward))

    def train(self):
        s, a, old_prob_a, r = zip(*self.data, strict=True)
        s, a, old_prob_a = torch.stack(s), torch.tensor(a).unsqueeze(1), torch.tensor(old_prob_a).unsqueeze(1)
        returns, running = [], 0.0
        for reward in reversed(r):
            running = reward + self.gamma * running
            returns.insert(0, running)
        adv = torch.tensor(returns).unsqueeze(1)
        adv = (adv - adv.mean()) / (adv.std() + 1e-4)

        prob_a = self.actor(s).gather(1, a)
        ratio = prob_a / old_prob_a
        surr = torch.min(ratio * adv, torch.clamp(ratio, 1 - self.clip_rate, 1 + self.clip_rate) * adv)
        a_loss = -surr.mean()
        self.actor_optimizer.zero_grad()
        a_loss.backward()
        self.actor_optimizer.step()
        return a_loss
