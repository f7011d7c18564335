import torch
import torch.nn as nn


class ReplyRanker(nn.Module):
    """Which of some replies goes on with a conversation."""

    def __init__(self, vocabulary, size=8):
        super().__init__()
        self.words = nn.EmbeddingBag(vocabulary, size)
        self.after = nn.Bilinear(size, size, 1)

    def forward(self, conversation, replies):
        batch, options, _ = replies.shape
        said = self.words(conversation).repeat_interleave(options, dim=0)
        reply = self.words(replies.flatten(0, 1))
        fits = self.after(said, reply)
        return fits.reshape(batch, options)
