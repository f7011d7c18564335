import torch
import torch.nn as nn
import torch.nn.functional as F
from net_utils import class_prob, reshape_score


class RPN(nn.Module):
    """Where in a picture there is something."""

    def __init__(self, din, anchors=3):
        super(RPN, self).__init__()
        self.conv = nn.Conv2d(din, din, 3, padding=1)
        self.cls_score = nn.Conv2d(din, 2 * anchors, 1)

    def forward(self, feat):
        score = reshape_score(self.cls_score(F.relu(self.conv(feat))), 2)
        return score, class_prob(score)[:, 1]


class FPN(nn.Module):
    def __init__(self, n_classes, din=8, anchors=3, post_nms=6):
        super(FPN, self).__init__()
        self.anchors, self.post_nms = anchors, post_nms
        self.base = nn.Sequential(nn.Conv2d(3, din, 3, stride=2, padding=1), nn.ReLU())
        self.rpn = RPN(din, anchors)
        self.rcnn_cls_score = nn.Linear(din, n_classes)

    def forward(self, im_data):
        feat = self.base(im_data)
        rpn_score, fg_prob = self.rpn(feat)
        kept = fg_prob.topk(self.post_nms, dim=1).indices
        places = kept % (feat.size(2) * feat.size(3))
        pooled = feat.flatten(2).gather(2, places.unsqueeze(1).expand(-1, feat.size(1), -1))
        cls_score = self.rcnn_cls_score(pooled.transpose(1, 2))
        return class_prob(cls_score), cls_score, rpn_score


def train_iter(fpn, optimizer, im_data, rpn_label, rois_label):
    _, cls_score, rpn_score = fpn(im_data)
    rpn_loss_cls = F.cross_entropy(rpn_score, rpn_label)
    rcnn_loss_cls = F.cross_entropy(cls_score.flatten(0, 1), rois_label.flatten())
    loss = rpn_loss_cls + rcnn_loss_cls
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@torch.no_grad()
def detect(fpn, im_data, thresh=0.5):
    cls_prob, _, _ = fpn(im_data)
    return [torch.nonzero(scores > thresh) for scores in cls_prob]
