import torch
from torch import nn

HPARAMS = {"in_features": 10, "hidden": 24, "num_classes": 3, "dropout": 0.1, "lr": 5e-3, "patience": 3}


class CoverTypeModule(nn.Module):
    """Which kind of forest grows on a piece of land, from its cartographic variables.

    Has the hooks of a LightningModule; `fit` below calls them.
    """

    def __init__(self, hparams):
        super().__init__()
        self.hparams = hparams
        self.mlp = nn.Sequential(
            nn.Linear(hparams["in_features"], hparams["hidden"]),
            nn.LayerNorm(hparams["hidden"]),
            nn.GELU(),
            nn.Dropout(hparams["dropout"]),
        )
        self.out = nn.Linear(hparams["hidden"], hparams["num_classes"])
        self.criterion = nn.CrossEntropyLoss()
        self.logged = {}

    def log(self, name, value):
        self.logged[name] = float(value)

    def forward(self, x):
        return self.out(self.mlp(x))

    def training_step(self, batch, batch_idx):
        x, y = batch
        y_hat = self(x)
        loss = self.criterion(y_hat, y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        y_hat = self(x)
        confidence, guess = torch.softmax(y_hat, dim=1).max(dim=1)
        self.log("val_loss", self.criterion(y_hat, y))
        self.log("val_acc", (guess == y).float().mean())
        self.log("val_confidence", confidence.mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.hparams["lr"])


def fit(module, train_loader, val_loader, max_epochs=1):
    optimizer = module.configure_optimizers()
    best, waited = float("inf"), 0
    for _ in range(max_epochs):
        module.train()
        for i, batch in enumerate(train_loader):
            optimizer.zero_grad()
            loss = module.training_step(batch, i)
            loss.backward()
            optimizer.step()
        module.eval()
        with torch.no_grad():
            for i, batch in enumerate(val_loader):
                module.validation_step(batch, i)
        waited = 0 if module.logged["val_loss"] < best else waited + 1
        best = min(best, module.logged["val_loss"])
        if waited >= module.hparams["patience"]:
            break
    return loss
