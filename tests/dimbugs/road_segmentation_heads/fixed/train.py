from loss import MultiHeadLoss as MultiHeadLoss
from torch import nn


def Conv(c1, c2, k=1, s=1, act=None):
    layers = [nn.Conv2d(c1, c2, k, s, k // 2)]
    return nn.Sequential(*layers) if act is None else nn.Sequential(*layers, act())


# from which block, what, arguments; the outputs of the heads are those of the last blocks of 5 and 7
BLOCKS = [
    [-1, Conv, [3, 8, 3, 2, nn.Hardswish]],
    [-1, Conv, [8, 16, 3, 1, nn.Hardswish]],
    [-1, Conv, [16, 8, 1, 1, nn.Hardswish]],
    [-1, nn.Upsample, [None, 2]],
    [3, Conv, [8, 8, 3, 1, nn.Hardswish]],
    [-1, Conv, [8, 1, 3, 1]],  # drivable area
    [3, Conv, [8, 8, 3, 1, nn.Hardswish]],
    [-1, Conv, [8, 1, 3, 1]],  # lane lines
]


class MCnet(nn.Module):
    def __init__(self, blocks, seg_out=(5, 7)):
        super().__init__()
        self.sources = [source for source, _, _ in blocks]
        self.model = nn.ModuleList(block(*args) for _, block, args in blocks)
        self.seg_out = seg_out

    def forward(self, x):
        cache = []
        for source, block in zip(self.sources, self.model, strict=True):
            x = block(x if source == -1 else cache[source])
            cache.append(x)
        return tuple(cache[i] for i in self.seg_out)


def train_batch(model, criterion, optimizer, images, masks):
    total_loss = criterion(model(images), masks)
    optimizer.zero_grad()
    total_loss.backward()
    optimizer.step()
    return total_loss
