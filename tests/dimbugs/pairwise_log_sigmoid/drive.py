import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    recommender = half.Recommender()
    triples = torch.tensor([0, 1, 2, 5]), torch.tensor([0, 3, 4, 8]), torch.tensor([1, 2, 7, 6])

    def loss(scores, target=None):
        return recommender.criterion(*scores)

    return Drive(recommender.model, triples, loss, step=lambda: recommender.fit_batch(*triples))


def symptom(half):
    return not bool(half.PairwiseLoss()(torch.tensor([0.0]), torch.tensor([200.0])).isfinite())
