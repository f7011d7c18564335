import torch
import torch.nn as nn
import torch.nn.functional as F

PAD = 0


class CommentEncoder(nn.Module):
    def __init__(self, vocab, dim, heads):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim, padding_idx=PAD)
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens):
        padding = tokens == PAD
        x = self.embed(tokens)
        attended, self.last_weights = self.self_attn(x, x, x, key_padding_mask=padding)
        x = self.norm(x + attended)
        keep = (~padding).unsqueeze(-1).float()
        return (x * keep).sum(1) / keep.sum(1).clamp(min=1)


class ThreadClassifier(nn.Module):
    """Whether a discussion goes off the rails, from its comments: (threads, comments, tokens)."""

    def __init__(self, vocab, dim=8, heads=2, classes=2):
        super().__init__()
        self.encoder = CommentEncoder(vocab, dim, heads)
        self.out = nn.Linear(dim, classes)

    def forward(self, threads):
        n, comments, _ = threads.shape
        vectors = self.encoder(threads.flatten(0, 1)).view(n, comments, -1)
        written = (threads != PAD).any(-1, keepdim=True).float()
        mean = (vectors * written).sum(1) / written.sum(1).clamp(min=1)
        return self.out(mean)


def run_epoch(model, optimizer, loader):
    losses = []
    for threads, labels in loader:
        loss = F.cross_entropy(model(threads), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss)
    return losses
