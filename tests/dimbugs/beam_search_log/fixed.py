import torch
import torch.nn.functional as F
from torch import log_softmax, nn

BOS = 1


class Decoder(nn.Module):
    def __init__(self, vocab_size, source_size=5, hidden=10):
        super().__init__()
        self.start = nn.Linear(source_size, hidden)
        self.embed = nn.Embedding(vocab_size, hidden)
        self.cell = nn.GRUCell(hidden, hidden)
        self.project = nn.Linear(hidden, vocab_size)

    def step(self, words, state):
        state = self.cell(self.embed(words), state)
        return self.project(state), state

    def forward(self, source, words):
        state, outputs = torch.tanh(self.start(source)), []
        for t in range(words.size(1)):
            scores, state = self.step(words[:, t], state)
            outputs.append(scores)
        return torch.stack(outputs, dim=1)


class SequenceGenerator:
    """Keeps the best `beam` beginnings of each sentence."""

    def __init__(self, model, beam=3, max_len=4, temperature=1.0):
        self.model, self.beam, self.max_len, self.temperature = model, beam, max_len, temperature

    def log_probs(self, words, state):
        scores, state = self.model.step(words, state)
        return log_softmax(scores / self.temperature, dim=-1), state

    def generate(self, source):
        n, k = source.size(0), self.beam
        state = torch.tanh(self.model.start(source))
        log_probs, state = self.log_probs(source.new_full((n,), BOS, dtype=torch.long), state)
        total, words = log_probs.topk(k, dim=-1)  # n, k
        state, hypotheses = state.repeat_interleave(k, dim=0), words.unsqueeze(-1)
        for _ in range(self.max_len - 1):
            log_probs, state = self.log_probs(hypotheses[..., -1].flatten(), state)
            vocab = log_probs.size(-1)
            total, index = (total.unsqueeze(-1) + log_probs.view(n, k, vocab)).flatten(1).topk(k, dim=-1)
            origin, words = index // vocab, index % vocab
            state = state.view(n, k, -1).gather(1, origin.unsqueeze(-1).expand(n, k, state.size(-1))).flatten(0, 1)
            hypotheses = hypotheses.gather(1, origin.unsqueeze(-1).expand_as(hypotheses))
            hypotheses = torch.cat([hypotheses, words.unsqueeze(-1)], dim=-1)
        return hypotheses, total


def minimum_risk_step(generator, optimizer, source, reference):
    hypotheses, total = generator.generate(source)
    errors = (hypotheses != reference.unsqueeze(1)).float().mean(dim=-1)
    loss = (F.softmax(total, dim=1) * errors).sum(dim=1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
