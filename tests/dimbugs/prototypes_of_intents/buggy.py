import torch
import torch.nn as nn
import torch.nn.functional as F


class IntentEncoder(nn.Module):
    def __init__(self, vocab_size, feat_dim):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, feat_dim)
        self.dense = nn.Sequential(nn.Linear(feat_dim, feat_dim), nn.Tanh())

    def forward(self, input_ids):
        return self.dense(self.embedding(input_ids))


class ModelManager:
    def __init__(self, args, prototypes):
        self.args = args
        self.model = IntentEncoder(args["vocab_size"], args["feat_dim"])
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=args["lr"])
        self.prototypes = F.normalize(prototypes, dim=-1)

    def soft_prototype(self, feats):
        """For each utterance the mix of prototypes that it is most like."""
        similarity = F.normalize(feats, dim=-1).mm(self.prototypes.t())
        weights = F.softmax(similarity / self.args["temperature"], dim=0)
        return weights.mm(self.prototypes)

    def proto_loss(self, feats):
        return (F.normalize(feats, dim=-1) - self.soft_prototype(feats)).pow(2).sum(dim=-1).mean()

    def train_on_batch(self, input_ids):
        self.model.train()
        loss = self.proto_loss(self.model(input_ids))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
