import torch
import torch.nn as nn


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, ids):
        return torch.tanh(self.dense(self.word(ids).mean(dim=1)))


class SequenceClassifier(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.dropout = nn.Dropout(0.0)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, ids):
        logits = self.classifier(self.dropout(self.encoder(ids)))
        if self.config.output_probabilities:
            return torch.softmax(logits, dim=-1)
        return logits
