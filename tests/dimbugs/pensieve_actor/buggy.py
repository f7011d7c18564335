import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical

S_INFO, S_LEN, A_DIM = 6, 8, 6


class ActorNetwork(nn.Module):
    def __init__(self, state_dim, action_dim, n_conv=16, n_fc=16):
        super(ActorNetwork, self).__init__()
        self.tConv1d = nn.Conv1d(1, n_conv, 4)
        self.dConv1d = nn.Conv1d(1, n_conv, 4)
        self.bufferFc = nn.Linear(1, n_fc)
        self.fullyConnected = nn.Linear(2 * n_conv * (state_dim[1] - 3) + n_fc, 32)
        self.outputLayer = nn.Linear(32, action_dim)

    def forward(self, inputs):
        throughput = F.relu(self.tConv1d(inputs[:, 2:3, :])).flatten(1)
        download = F.relu(self.dConv1d(inputs[:, 3:4, :])).flatten(1)
        buffered = F.relu(self.bufferFc(inputs[:, 1:2, -1]))
        merged = torch.cat([throughput, download, buffered], 1)
        fcOutput = F.relu(self.fullyConnected(merged))
        out = F.softmax(self.outputLayer(fcOutput))
        return out


class A3C(object):
    def __init__(self, lr=1e-4, entropy_weight=0.5):
        self.actor = ActorNetwork([S_INFO, S_LEN], A_DIM)
        self.actorOptim = torch.optim.RMSprop(self.actor.parameters(), lr=lr)
        self.entropy_weight = entropy_weight

    def actionSelect(self, stateInputs):
        with torch.no_grad():
            return Categorical(self.actor(stateInputs)).sample().tolist()

    def updateActor(self, states, actions, advantages):
        m_probs = Categorical(self.actor(states))
        actor_loss = -(m_probs.log_prob(actions) * advantages).sum()
        actor_loss = actor_loss - self.entropy_weight * m_probs.entropy().sum()
        self.actorOptim.zero_grad()
        actor_loss.backward()
        self.actorOptim.step()
        return actor_loss
