import torch
from torch import nn


class MotorNeurons(nn.Module):
    """Neurons that fire at a rate; `raster` keeps who fired when, (time, batch, neurons)."""

    def __init__(self, sensors, actions, duration=20):
        super().__init__()
        self.synapses = nn.Linear(sensors, actions)
        self.duration = duration
        self.raster = None

    def forward(self, sensation):
        rates = self.synapses(sensation).sigmoid()
        chance = torch.rand(self.duration, *rates.shape)
        self.raster = (chance < rates).float()
        return rates


def action_probabilities(neurons):
    counts = neurons.raster.sum(dim=0)
    return torch.softmax(counts, dim=0)


class Animat:
    def __init__(self, sensors=5, actions=4, lr=0.1):
        self.neurons = MotorNeurons(sensors, actions)
        self.optimizer = torch.optim.SGD(self.neurons.parameters(), lr=lr)

    def live(self, sensation, reward_for):
        rates = self.neurons(sensation.unsqueeze(0))
        action = torch.multinomial(action_probabilities(self.neurons).flatten(), 1).item()
        loss = -reward_for(action) * rates[0, action]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
