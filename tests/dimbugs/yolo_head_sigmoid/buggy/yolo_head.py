import torch
import torch.nn as nn


class YoloHead(nn.Module):
    def __init__(self, nC, anchors, stride):
        super().__init__()
        self.register_buffer("anchors", torch.tensor(anchors))
        self.nA, self.nC = len(anchors), nC
        self.stride = stride

    def forward(self, p):
        bs, _, h, w = p.shape
        p = p.view(bs, self.nA, 5 + self.nC, h, w).permute(0, 3, 4, 1, 2)  # [bs, h, w, nA, 5 + nC]
        dxdy, dwdh, conf, prob = p.split([2, 2, 1, self.nC], dim=-1)

        ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        grid = torch.stack([xs, ys], dim=-1)[None, :, :, None, :]
        xy = (torch.sigmoid(dxdy) + grid) * self.stride
        wh = torch.exp(dwdh.clamp(max=4)) * self.anchors * self.stride
        return torch.cat([xy, wh, torch.sigmoid(conf), torch.sigmoid(prob)], dim=-1)
