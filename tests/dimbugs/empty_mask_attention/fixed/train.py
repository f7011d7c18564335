import torch
import torch.nn.functional as F
from decoder import MaskDecoder


def loss_labels(logits, classes):
    return F.cross_entropy(logits.flatten(0, 1), classes.flatten())


def loss_masks(masks, targets):
    return F.binary_cross_entropy_with_logits(masks, targets)


def train_one_epoch(model, optimizer, loader, mask_weight=5.0):
    """Query i is matched with object i of the image, the rest with no object."""
    model.train()
    for images, classes, targets in loader:
        logits, masks = model(images)
        loss = loss_labels(logits, classes) + mask_weight * loss_masks(masks, targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
    return loss


def build():
    model = MaskDecoder()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)
