import torch
import torch.nn as nn
import torch.nn.functional as F

NUM_CLASSES = 4
LAMBDA_ADV = 0.01


class SegNet(nn.Module):
    def __init__(self, num_classes=NUM_CLASSES):
        super().__init__()
        self.down = nn.Conv2d(3, 16, kernel_size=4, stride=2, padding=1)
        self.dilated = nn.Conv2d(16, 16, kernel_size=3, padding=2, dilation=2)
        self.classifier = nn.Conv2d(16, num_classes, kernel_size=1)

    def forward(self, x):
        size = x.shape[2:]
        x = F.relu(self.dilated(F.relu(self.down(x))))
        return F.interpolate(self.classifier(x), size=size, mode="bilinear", align_corners=True)


def make_discriminator(num_classes=NUM_CLASSES, ndf=8):
    """A fully convolutional one: real or not, pixel by pixel."""
    return nn.Sequential(
        nn.Conv2d(num_classes, ndf, kernel_size=3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(ndf, 1, kernel_size=3, padding=1),
    )


class AdversarialTrainer:
    def __init__(self, model, model_D):
        self.model, self.model_D = model, model_D
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
        self.optimizer_D = torch.optim.Adam(model_D.parameters(), lr=1e-4)
        self.bce_loss = nn.BCEWithLogitsLoss()

    def judge(self, pred, label):
        D_out = self.model_D(F.softmax(pred, dim=1))
        return self.bce_loss(D_out, torch.full_like(D_out, label))

    def step(self, images, labels, unlabelled):
        self.optimizer.zero_grad()
        pred = self.model(images)
        loss = F.cross_entropy(pred, labels) + LAMBDA_ADV * self.judge(self.model(unlabelled), 1.0)
        loss.backward()
        self.optimizer.step()

        self.optimizer_D.zero_grad()
        truth = F.one_hot(labels, NUM_CLASSES).permute(0, 3, 1, 2).float()
        D_out = self.model_D(truth)
        loss_D = self.judge(pred.detach(), 0.0) + self.bce_loss(D_out, torch.ones_like(D_out))
        loss_D.backward()
        self.optimizer_D.step()
        return loss
