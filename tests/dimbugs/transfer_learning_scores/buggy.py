import torch
import torch.nn.functional as F
from torch import nn


class TransferLearningModel(nn.Module):
    """Cats and dogs: a frozen backbone, and a small head that is trained."""

    def __init__(self, backbone, num_features, lr=1e-3, lr_scheduler_gamma=0.1, milestones=(2, 4)):
        super().__init__()
        self.lr = lr
        self.lr_scheduler_gamma = lr_scheduler_gamma
        self.milestones = milestones
        self.logged = {}
        self.feature_extractor = backbone.requires_grad_(False)
        self.fc = nn.Sequential(nn.Linear(num_features, 16), nn.ReLU(), nn.Linear(16, 1))
        self.loss_func = F.binary_cross_entropy_with_logits

    def forward(self, x):
        return self.fc(self.feature_extractor(x).flatten(1))

    def loss(self, y_true, predictions):
        return self.loss_func(input=predictions, target=y_true)

    def training_step(self, batch, batch_idx):
        x, y = batch
        y_true = y.view((-1, 1)).type_as(x)

        # 1. Forward pass
        y_logits = self.forward(x)
        y_scores = torch.sigmoid(y_logits)

        # 2. Loss and metric
        train_loss = self.loss(y_true, y_scores)
        self.logged["train_acc"] = ((y_scores > 0.5) == y_true.bool()).float().mean()
        return train_loss

    def configure_optimizers(self):
        trainable = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trainable, lr=self.lr)
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, self.milestones, gamma=self.lr_scheduler_gamma)
        return [optimizer], [scheduler]
