import torch
from torch.nn import CrossEntropyLoss, Linear, Sequential, Tanh


def stack(sizes):
    """A multilayer perceptron with the given widths, from the input to the classes."""
    net = Sequential()
    for depth, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)):
        if depth:
            net.add_module(f"tanh{depth}", Tanh())
        net.add_module(f"dense{depth}", Linear(before, after))
    return net


def minibatches(x, y, size):
    order = torch.randperm(len(x))
    for rows in order.split(size):
        yield x[rows], y[rows]


def learn(net, optimizer, x, y, size=8):
    criterion = CrossEntropyLoss()
    for features, classes in minibatches(x, y, size):
        cost = criterion(net(features), classes)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    return cost


def guess(net, x):
    return net(x).argmax(dim=1)
