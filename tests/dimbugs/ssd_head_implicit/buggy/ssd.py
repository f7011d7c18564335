import torch
import torch.nn as nn

ANCHORS = (4, 6)  # default boxes per cell of each feature map


class SSD(nn.Module):
    """Two feature maps, each with a box and a class head. While training it returns raw scores."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.extra = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.loc = nn.ModuleList([nn.Conv2d(16, a * 4, 3, padding=1) for a in ANCHORS])
        self.conf = nn.ModuleList([nn.Conv2d(16, a * num_classes, 3, padding=1) for a in ANCHORS])
        self.softmax = nn.Softmax()

    def features(self, x):
        first = torch.relu(self.stem(x))
        return [first, torch.relu(self.extra(first))]

    def forward(self, x):
        loc, conf = [], []
        for source, box_head, class_head in zip(self.features(x), self.loc, self.conf):
            loc.append(box_head(source).permute(0, 2, 3, 1).flatten(1))
            conf.append(class_head(source).permute(0, 2, 3, 1).flatten(1))
        loc = torch.cat(loc, 1).view(x.size(0), -1, 4)
        conf = torch.cat(conf, 1).view(x.size(0), -1, self.num_classes)
        if self.training:
            return loc, conf
        return loc, self.softmax(conf)
