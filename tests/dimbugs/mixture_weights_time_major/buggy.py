import torch
import torch.nn as nn
import torch.nn.functional as functional


class DreamModel(nn.Module):
    """Foresees the next state of a world as a mixture of Gaussians; time comes first, then the batch."""

    def __init__(self, state_size, num_actions, components, hidden=8):
        super().__init__()
        self.shape = (components, state_size)
        self.memory = nn.GRU(state_size + num_actions, hidden)
        self.centres = nn.Linear(hidden, components * state_size)
        self.spreads = nn.Linear(hidden, components * state_size)
        self.weights = nn.Linear(hidden, components)

    def forward(self, states, actions):
        seen, _ = self.memory(torch.cat((states, actions), dim=2))
        centres = self.centres(seen).unflatten(-1, self.shape)
        spreads = functional.softplus(self.spreads(seen)).unflatten(-1, self.shape) + 0.1
        log_weights = functional.log_softmax(self.weights(seen), dim=-2)
        return centres, spreads, log_weights


def surprise(prediction, following):
    centres, spreads, log_weights = prediction
    gaussians = torch.distributions.Normal(centres, spreads)
    per_component = gaussians.log_prob(following.unsqueeze(2)).sum(dim=3)
    return -(log_weights + per_component).logsumexp(dim=2).mean()


def learn(model, optimizer, states, actions):
    loss = surprise(model(states[:-1], actions[:-1]), states[1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
