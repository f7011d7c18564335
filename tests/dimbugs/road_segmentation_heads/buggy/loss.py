import torch.nn as nn


class MultiHeadLoss(nn.Module):
    """The losses of the drivable area and of the lane lines, weighted."""

    def __init__(self, lambdas):
        super().__init__()
        BCEseg = nn.BCEWithLogitsLoss()
        self.losses = nn.ModuleList([BCEseg, BCEseg])
        self.lambdas = lambdas

    def forward(self, head_fields, head_targets):
        drive_area, lane_line = head_fields
        da_seg_loss, ll_seg_loss = self.losses
        total = self.lambdas[0] * da_seg_loss(drive_area, head_targets[:, :1])
        return total + self.lambdas[1] * ll_seg_loss(lane_line, head_targets[:, 1:])
