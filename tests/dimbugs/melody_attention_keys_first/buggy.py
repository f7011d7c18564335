import torch
import torch.nn as nn
from torch import einsum


class BeatEncoder(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.rnn = nn.LSTM(2, hidden // 2, batch_first=True, bidirectional=True)

    def forward(self, beats):
        return self.rnn(beats)[0]


class NoteDecoder(nn.Module):
    def __init__(self, num_notes, hidden):
        super().__init__()
        self.embed = nn.Embedding(num_notes, hidden)
        self.rnn = nn.LSTM(hidden, hidden, batch_first=True)
        self.project = nn.Linear(2 * hidden, num_notes)

    def weights(self, memory, states):
        energy = einsum("ske,sqe->skq", memory, states) * memory.size(-1) ** -0.5
        return energy.softmax(-1)

    def forward(self, memory, notes):
        states, _ = self.rnn(self.embed(notes))
        context = einsum("skq,ske->sqe", self.weights(memory, states), memory)
        return self.project(torch.cat([states, context], dim=-1))


class DeepBeats(nn.Module):
    def __init__(self, num_notes=12, hidden=8):
        super().__init__()
        self.encoder = BeatEncoder(hidden)
        self.decoder = NoteDecoder(num_notes, hidden)

    def forward(self, beats, notes_shifted):
        return self.decoder(self.encoder(beats), notes_shifted)

    def loss_function(self, pred, target):
        return nn.functional.cross_entropy(pred.flatten(0, 1), target.flatten())


def train(model, optimizer, input_seq, target_seq, target_prev_seq, clip=1.0):
    output = model(input_seq, target_prev_seq)
    loss = model.loss_function(output, target_seq)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss
