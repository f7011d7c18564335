import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

LOSSES = {
    "mse": F.mse_loss,
    "huber": F.smooth_l1_loss,
    "bce": F.binary_cross_entropy,
}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description="Will a taxi ride be tipped?")
    parser.add_argument("--loss", choices=sorted(LOSSES), default="bce")
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--layers", type=int, nargs="+", default=[16, 8])
    return parser.parse_args(argv)


class TabularModel(nn.Module):
    """Embeds the categorical columns, puts the continuous ones beside them."""

    def __init__(self, cardinalities, num_continuous, layer_sizes, emb_dim=4, p=0.0):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(n, emb_dim) for n in cardinalities)
        self.norm = nn.LayerNorm(num_continuous)
        sizes = [len(cardinalities) * emb_dim + num_continuous, *layer_sizes]
        layers = []
        for n_in, n_out in zip(sizes, sizes[1:]):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(inplace=True), nn.Dropout(p)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, x_cat, x_cont):
        columns = [emb(x_cat[:, i]) for i, emb in enumerate(self.embeddings)]
        x = torch.cat([*columns, self.norm(x_cont)], dim=1)
        return self.layers(x).squeeze(1)


def process_epoch(dataloader, model, loss_func=F.mse_loss, optimizer=None):
    model.train(optimizer is not None)
    losses = []
    for x_cat, x_cont, y in dataloader:
        with torch.set_grad_enabled(optimizer is not None):
            y_pred = model(x_cat, x_cont)
            loss = loss_func(y_pred, y.float())
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss)
    return torch.stack(losses).mean()


def main(args, train_loader, valid_loader, cardinalities=(5, 7), num_continuous=3):
    model = TabularModel(cardinalities, num_continuous, args.layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    train_loss = process_epoch(train_loader, model, LOSSES[args.loss], optimizer)
    valid_loss = process_epoch(valid_loader, model, LOSSES[args.loss])
    print(f"train {train_loss:.4f} valid {valid_loss:.4f}")
    return model, train_loss
