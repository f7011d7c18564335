import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.DCEC(pixels=10, num_clusters=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    inputs = torch.rand(6, 10)
    tar_dist = half.target(model(inputs)[0]).detach()
    loss = lambda outputs, tar_dist: half.clustering_loss(outputs[0], tar_dist)  # noqa: E731
    step = lambda: half.train_batch(model, optimizer, inputs, tar_dist)  # noqa: E731
    return Drive(model, inputs, loss, tar_dist, step=step)


def symptom(half):
    clusters = torch.randn(6, 3).softmax(1)
    return abs(float(half.clustering_loss(clusters, clusters))) > 1e-4
