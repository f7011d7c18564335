from torch import nn


def make_criterion(name, reduction="mean"):
    if name == "nce":
        return nn.NCELoss(reduction=reduction)
    if name == "smooth":
        return nn.CrossEntropyLoss(reduction=reduction, label_smoothing=0.1)
    return nn.CrossEntropyLoss(reduction=reduction)
