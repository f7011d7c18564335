import random

import torch
import torch.nn as nn

PAD, NUM_ITEMS = 0, 9
MASK = NUM_ITEMS + 1


class BertTrainDataset(torch.utils.data.Dataset):
    """Sessions with some items hidden; the labels are those items, and 0 for all others."""

    def __init__(self, sessions, max_len=6, mask_prob=0.15, seed=0):
        self.sessions = sessions
        self.max_len = max_len
        self.mask_prob = mask_prob
        self.rng = random.Random(seed)

    def __len__(self):
        return len(self.sessions)

    def __getitem__(self, index):
        tokens, labels = [], []
        for item in self.sessions[index][-self.max_len :]:
            hidden = self.rng.random() < self.mask_prob
            tokens.append(MASK if hidden else item)
            labels.append(item if hidden else PAD)
        padding = [PAD] * (self.max_len - len(tokens))
        return torch.LongTensor(padding + tokens), torch.LongTensor(padding + labels)


class SessionModel(nn.Module):
    def __init__(self, hidden=8, heads=2):
        super().__init__()
        self.token = nn.Embedding(NUM_ITEMS + 2, hidden, padding_idx=PAD)
        self.encoder = nn.TransformerEncoderLayer(hidden, heads, dim_feedforward=16, dropout=0.0, batch_first=True)
        self.out = nn.Linear(hidden, NUM_ITEMS + 1)

    def forward(self, seqs):
        return self.out(self.encoder(self.token(seqs), src_key_padding_mask=seqs == PAD))


class BERTTrainer:
    def __init__(self, model, lr=1e-3):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.ce = nn.CrossEntropyLoss(ignore_index=PAD)

    def calculate_loss(self, batch):
        seqs, labels = batch
        logits = self.model(seqs)
        return self.ce(logits.view(-1, logits.size(-1)), labels.view(-1))

    def train_batch(self, batch):
        self.optimizer.zero_grad()
        loss = self.calculate_loss(batch)
        loss.backward()
        self.optimizer.step()
        return loss
