import torch


class CharacterErrorRate:
    """Share of wrong characters, and the mean confidence of the guesses."""

    def __init__(self, ignore_token):
        self.ignore_token = ignore_token
        self.wrong = self.total = 0
        self.confidence = 0.0

    def update(self, logits, targets):
        probs = torch.softmax(logits, dim=-1)
        confidence, preds = probs.max(dim=1)
        keep = targets != self.ignore_token
        self.wrong += int((preds[keep] != targets[keep]).sum())
        self.confidence += float(confidence[keep].sum())
        self.total += int(keep.sum())

    def compute(self):
        return self.wrong / self.total, self.confidence / self.total
