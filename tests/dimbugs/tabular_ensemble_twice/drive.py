import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    ensemble = half.TabularEnsemble(n_features=5, num_classes=3)
    torch.manual_seed(0)
    table, y = torch.randn(6, 5), torch.tensor([0, 1, 2, 2, 1, 0])

    def step():
        loss = ensemble.fit_epoch(table, y)
        ensemble.predict(table)
        return loss

    return Drive(ensemble.members[0].model, table, F.cross_entropy, y, step=step)


def symptom(half):
    """Whether members that agree and are sure make an ensemble that is not."""
    ensemble = half.TabularEnsemble(n_features=3, num_classes=3, n_ensembles=2)
    for member in ensemble.members:
        member.model, member.order = torch.nn.Identity(), torch.arange(3)
    return float(ensemble.ensemble_predict_proba(20 * torch.eye(3)).max()) < 0.7
