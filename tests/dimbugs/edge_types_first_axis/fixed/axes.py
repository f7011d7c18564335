from torch.nn import functional as F


def normalize(scores, axis):
    """Probabilities along any axis."""
    front = scores.movedim(axis, 0)
    return F.softmax(front, dim=0).movedim(0, axis)
