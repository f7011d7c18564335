import torch
from torch import nn, optim

digits_net = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 24),
    nn.GELU(),
    nn.Linear(24, 10),
    nn.LogSoftmax(dim=1),
)
negative_log_likelihood = nn.NLLLoss()


def one_pass(net, batches, optimizer=None):
    """Goes over the data once, and learns from it where there is an optimiser; the last loss and the hits."""
    hits = 0
    for images, digits in batches:
        log_chances = net(images)
        loss = negative_log_likelihood(log_chances, digits)
        hits += int((log_chances.argmax(dim=1) == digits).sum())
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss, hits


def run_notebook(train_batches, test_batches, epochs=2):
    optimizer = optim.NAdam(digits_net.parameters(), lr=0.01)
    for epoch in range(epochs):
        digits_net.train()
        one_pass(digits_net, train_batches, optimizer)
        digits_net.eval()
        loss, hits = one_pass(digits_net, test_batches)
        print(f"{epoch}: loss {loss:.3f}, {hits} right")
