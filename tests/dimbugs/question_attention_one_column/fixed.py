import torch
from torch import nn
from torch.nn import functional as fn


class QuestionReader(nn.Module):
    """From a question, (tokens, batch), to the embedding of the thing that is asked about."""

    def __init__(self, words, word_size=6, state=5, entity_size=4):
        super().__init__()
        self.words = nn.Embedding(words, word_size)
        self.reader = nn.GRU(word_size, state, bidirectional=True)
        self.relevance = nn.Linear(word_size + 2 * state, 1)
        self.to_entity = nn.Linear(word_size + 2 * state, entity_size)

    def forward(self, question):
        embedded = self.words(question)
        states, _ = self.reader(embedded)
        tokens = torch.cat([embedded, states], dim=-1)
        weights = fn.softmax(self.relevance(tokens), dim=0)
        return self.to_entity((weights * tokens).sum(dim=0))


def closeness(predicted, entity):
    return (1 - fn.cosine_similarity(predicted, entity, dim=-1)).mean()


def train_step(reader, optimizer, question, entity):
    loss = closeness(reader(question), entity)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
