import torch
import torch.nn as nn
import torch.nn.functional as F


class SpatialGather_Module(nn.Module):
    """Sums up the features of the pixels of each class into one vector: its object."""

    def __init__(self, scale=1):
        super(SpatialGather_Module, self).__init__()
        self.scale = scale

    def forward(self, feats, probs):
        batch_size, c = probs.size(0), probs.size(1)
        probs = probs.view(batch_size, c, -1)
        feats = feats.view(batch_size, feats.size(1), -1)
        feats = feats.permute(0, 2, 1)  # batch x hw x c
        probs = F.softmax(self.scale * probs, dim=2)  # batch x k x hw
        ocr_context = torch.matmul(probs, feats)  # batch x k x c
        return ocr_context


class SpatialOCR_Module(nn.Module):
    def __init__(self, channels, key_channels):
        super(SpatialOCR_Module, self).__init__()
        self.key_channels = key_channels
        self.f_pixel = nn.Conv2d(channels, key_channels, 1)
        self.f_object = nn.Linear(channels, key_channels)
        self.f_up = nn.Linear(channels, channels)

    def forward(self, feats, context):
        query = self.f_pixel(feats).flatten(2).transpose(1, 2)
        key = self.f_object(context).transpose(1, 2)
        sim_map = F.softmax(torch.matmul(query, key) * self.key_channels**-0.5, dim=-1)
        out = torch.matmul(sim_map, self.f_up(context))
        return torch.cat([feats, out.transpose(1, 2).reshape(feats.shape)], 1)


class HRNetOCR(nn.Module):
    def __init__(self, num_classes, channels=8):
        super(HRNetOCR, self).__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU())
        self.aux_head = nn.Conv2d(channels, num_classes, 1)
        self.ocr_gather_head = SpatialGather_Module()
        self.ocr_distri_head = SpatialOCR_Module(channels, channels // 2)
        self.cls_head = nn.Conv2d(2 * channels, num_classes, 1)

    def forward(self, x):
        feats = self.backbone(x)
        out_aux = self.aux_head(feats)
        context = self.ocr_gather_head(feats, out_aux)
        return out_aux, self.cls_head(self.ocr_distri_head(feats, context))


def ocr_loss(outputs, labels, balance=(0.4, 1.0)):
    return sum(w * F.cross_entropy(score, labels, ignore_index=255) for w, score in zip(balance, outputs))


def train_iter(model, optimizer, images, labels):
    loss = ocr_loss(model(images), labels)
    model.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
