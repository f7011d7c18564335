import torch
from torch import Tensor, einsum, nn


def expert(dim: int, hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class SoftExperts(nn.Module):
    """Each slot of an expert gets a mixture of the tokens, each token a mixture of the slots."""

    def __init__(self, dim: int, num_experts: int = 3, slots_per_expert: int = 2):
        super().__init__()
        self.phi = nn.Parameter(torch.randn(dim, num_experts, slots_per_expert) * dim**-0.5)
        self.experts = nn.ModuleList([expert(dim, 2 * dim) for _ in range(num_experts)])

    def forward(self, x: Tensor) -> Tensor:
        logits = einsum("b m d, d n p -> b m n p", x, self.phi)
        dispatch_weights = logits.softmax(dim=0)
        combine_weights = logits.flatten(start_dim=2).softmax(dim=-1).view_as(logits)

        slots = einsum("b m d, b m n p -> b n p d", x, dispatch_weights)
        outputs = torch.stack([f(s) for f, s in zip(self.experts, slots.unbind(dim=1), strict=True)], dim=1)
        return einsum("b n p d, b m n p -> b m d", outputs, combine_weights)


class PatchClassifier(nn.Module):
    def __init__(self, patch_size: int = 6, dim: int = 8, num_classes: int = 4):
        super().__init__()
        self.embed = nn.Linear(patch_size, dim)
        self.norm = nn.LayerNorm(dim)
        self.moe = SoftExperts(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, patches: Tensor) -> Tensor:
        x = self.embed(patches)
        x = x + self.moe(self.norm(x))
        return self.head(x.mean(dim=1))


def fit(model: nn.Module, optimizer: torch.optim.Optimizer, patches: Tensor, labels: Tensor) -> Tensor:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(patches), labels)
    loss.backward()
    optimizer.step()
    return loss
