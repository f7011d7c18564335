import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 4
EPOCHS = 10
LEARNING_RATE = 0.01
KEYWORDS = ["yes", "no", "stop", "go"]


class CNNNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        # 2 conv blocks / flatten / linear / softmax
        self.conv1 = nn.Sequential(nn.Conv2d(1, 4, kernel_size=3, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        self.conv2 = nn.Sequential(nn.Conv2d(4, 8, kernel_size=3, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(8 * 3 * 4, len(KEYWORDS))
        self.softmax = nn.Softmax(dim=1)

    def forward(self, input_data):
        x = self.conv1(input_data)
        x = self.conv2(x)
        x = self.flatten(x)
        logits = self.linear(x)
        predictions = self.softmax(logits)
        return predictions


def train_single_epoch(model, data_loader, loss_fn, optimiser):
    for input, target in data_loader:
        # calculate loss
        prediction = model(input)
        loss = loss_fn(prediction, target)

        # backpropagate error and update weights
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss


mel_spectrograms = torch.randn(4, 1, 8, 12, generator=torch.Generator().manual_seed(0))
train_dataloader = DataLoader(TensorDataset(mel_spectrograms, torch.arange(4)), batch_size=BATCH_SIZE)

cnn = CNNNetwork()
loss_fn = nn.CrossEntropyLoss()
optimiser = torch.optim.Adam(cnn.parameters(), lr=LEARNING_RATE)

if __name__ == "__main__":
    for epoch in range(EPOCHS):
        loss = train_single_epoch(cnn, train_dataloader, loss_fn, optimiser)
        print(f"Epoch {epoch + 1}, loss: {loss.item():.3f}")
