import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.ModelQuality()
    optimizer = half.optimizer_for(model)
    structures, quality = (torch.randn(4, 5, 6), torch.randn(4, 5, 5, 3)), torch.rand(4)
    return Drive(
        model, structures, F.l1_loss, quality, step=lambda: half.train_step(model, optimizer, structures, quality)
    )


def symptom(half):
    """Whether a message passes a gate that is as good as closed."""
    layer = half.GatedContacts(6, 3)
    torch.nn.init.constant_(layer.gate.bias, -100.0)
    residues = torch.randn(2, 5, 6)
    return not torch.allclose(layer(residues, torch.zeros(2, 5, 5, 3)), residues, atol=1e-4)
