import torch.nn as nn


def build(layers):
    return nn.Sequential(*[getattr(nn, kind)(*args) for kind, *args in layers])


class ConvLstm(nn.Module):
    """Frames one by one through a CNN, the last state of an LSTM over them through the head."""

    def __init__(self, cfg):
        super().__init__()
        self.conv_model = build(cfg["frames"])
        self.lstm = nn.LSTM(cfg["latent_dim"], cfg["hidden_size"], batch_first=True)
        self.output_layer = build(cfg["head"])

    def forward(self, x):
        batch_size, timesteps = x.shape[:2]
        conv_output = self.conv_model(x.flatten(0, 1)).view(batch_size, timesteps, -1)
        lstm_output, _ = self.lstm(conv_output)
        return self.output_layer(lstm_output[:, -1, :])
