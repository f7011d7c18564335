from torch.nn import CrossEntropyLoss


class Evaluator:
    """How good a ranking is; the loss that it is trained with comes first."""

    def __init__(self, objective=None, depth=2):
        self.objective = objective or CrossEntropyLoss()
        self.depth = depth

    def loss(self, ranking, right):
        return self.objective(ranking, right)

    def recall(self, ranking, right):
        shortlist = ranking.topk(self.depth, dim=1).indices
        return (shortlist == right.unsqueeze(1)).any(dim=1).float().mean().item()
