import torch
import torch.nn.functional as F

from .ssd import SSD

BACKGROUND = 0


def multibox_loss(predictions, targets):
    loc, conf = predictions
    loc_t, conf_t = targets  # (batch, boxes, 4), (batch, boxes)
    positive = conf_t != BACKGROUND
    loss_l = F.smooth_l1_loss(loc[positive], loc_t[positive], reduction="sum")
    loss_c = F.cross_entropy(conf.flatten(0, 1), conf_t.flatten(), reduction="sum")
    return (loss_l + loss_c) / positive.sum().clamp(min=1)


def train_iteration(net, optimizer, images, targets):
    net.train()
    loss = multibox_loss(net(images), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@torch.no_grad()
def detect(net, images, conf_thresh=0.3, top_k=10):
    """For each image the classes and scores of its best boxes."""
    net.eval()
    _, scores = net(images)
    best, label = scores[..., 1:].max(dim=-1)
    found = []
    for b, c in zip(best, label):
        keep = b.topk(top_k).indices
        keep = keep[b[keep] > conf_thresh]
        found.append(list(zip((c[keep] + 1).tolist(), b[keep].tolist())))
    return found


def build_ssd(num_classes=3):
    return SSD(num_classes)
