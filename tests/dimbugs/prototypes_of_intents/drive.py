import torch

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    manager = half.ModelManager({"vocab_size": 20, "feat_dim": 6, "lr": 1e-3, "temperature": 0.1}, torch.randn(4, 6))
    input_ids = torch.randint(0, 20, (5, 7))
    loss = lambda feats, _: manager.proto_loss(feats)  # noqa: E731
    return Drive(manager.model, input_ids, loss, step=lambda: manager.train_on_batch(input_ids))


def symptom(half):
    torch.manual_seed(0)
    manager = half.ModelManager({"vocab_size": 20, "feat_dim": 6, "lr": 1e-3, "temperature": 0.1}, torch.randn(4, 6))
    return mixes_samples(manager.soft_prototype, torch.randn(5, 6))
