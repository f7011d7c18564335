import torch.nn.functional as F


def class_prob(score):
    return F.softmax(score, dim=1)


def reshape_score(score, d):
    """(images, d * anchors, height, width) to (images, d, places)."""
    return score.view(score.size(0), d, -1)
