"""Lays out a scene from a caption's embedding, box by box: first what it shows, then where it is."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PAD = 0


class LayoutDecoder(nn.Module):
    def __init__(self, num_labels: int = 6, caption_size: int = 10, hidden_size: int = 16):
        super().__init__()
        self.label_embedding = nn.Embedding(num_labels, hidden_size, padding_idx=PAD)
        self.start = nn.Linear(caption_size, hidden_size)
        self.rnn = nn.LSTM(hidden_size, hidden_size, batch_first=True)
        self.to_label = nn.Linear(hidden_size, num_labels)
        self.to_box = nn.Linear(hidden_size, 4)

    def forward(self, caption, previous):
        """caption: (batch, caption_size), previous: (batch, boxes), the labels up to each box."""
        state = torch.tanh(self.start(caption)).unsqueeze(0)
        hidden, _ = self.rnn(self.label_embedding(previous), (state, torch.zeros_like(state)))
        label_probs = F.softmax(self.to_label(hidden), dim=-1)
        return label_probs, torch.sigmoid(self.to_box(hidden))


class LayoutTrainer:
    def __init__(self, decoder, lr=1e-3, lambda1=1.0, lambda2=0.25):
        self.decoder = decoder
        self.lambda1, self.lambda2 = lambda1, lambda2
        self.label_loss = nn.NLLLoss(ignore_index=PAD)
        self.optimizer = torch.optim.Adam(decoder.parameters(), lr=lr)

    def losses(self, caption, labels, boxes):
        previous = F.pad(labels[:, :-1], (1, 0), value=PAD)
        label_out, box_out = self.decoder(caption, previous)
        lloss = self.label_loss(label_out.flatten(0, 1), labels.flatten())
        real = labels != PAD
        bloss = F.mse_loss(box_out[real], boxes[real])
        return lloss, bloss

    def train(self, batches):
        self.decoder.train()
        for caption, labels, boxes in batches:
            lloss, bloss = self.losses(caption, labels, boxes)
            loss = self.lambda1 * lloss + self.lambda2 * bloss
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
            self.optimizer.step()
        return loss
