import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical


def create_NN(input_dim, output_dim, hidden=(32,)):
    dims = [input_dim, *hidden]
    layers = []
    for i, o in zip(dims, dims[1:]):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(dims[-1], output_dim))


class SAC_Discrete:
    agent_name = "SAC"

    def __init__(self, state_size, action_size, alpha=0.1, gamma=0.99, lr=3e-3):
        self.alpha, self.gamma = alpha, gamma
        self.actor_local = create_NN(state_size, action_size)
        self.critic_local = create_NN(state_size, action_size)
        self.critic_target = copy.deepcopy(self.critic_local)
        parameters = [*self.actor_local.parameters(), *self.critic_local.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=lr)
        self.log = {}

    def produce_action_and_action_info(self, state):
        """An action drawn for each state, the probabilities, and the action that the actor holds to be best."""
        logits = self.actor_local(state)
        action_probabilities = F.softmax(logits, dim=1)
        max_probability_action = torch.argmax(action_probabilities)
        action = Categorical(action_probabilities).sample()
        return action, (action_probabilities, F.log_softmax(logits, dim=1)), max_probability_action

    def pick_action(self, state, eval_ep=False):
        with torch.no_grad():
            action, _, best = self.produce_action_and_action_info(state)
        return best if eval_ep else action

    def learn(self, state, action, reward, next_state):
        _, (probs, log_probs), best = self.produce_action_and_action_info(state)
        with torch.no_grad():
            _, (next_probs, next_log_probs), _ = self.produce_action_and_action_info(next_state)
            soft = (next_probs * (self.critic_target(next_state) - self.alpha * next_log_probs)).sum(1)
        q = self.critic_local(state)
        critic_loss = F.mse_loss(q.gather(1, action.unsqueeze(1)).squeeze(1), reward + self.gamma * soft)
        actor_loss = (probs * (self.alpha * log_probs - q.detach())).sum(1).mean()
        self.log["greedy"] = (best == action).float().mean().item()

        loss = critic_loss + actor_loss
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
