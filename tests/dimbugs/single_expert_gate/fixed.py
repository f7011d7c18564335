from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class MoEConfig:
    user_features: int = 5
    num_experts: int = 4
    hidden: int = 8
    top_k: int = 1
    tasks: tuple[str, ...] = ("click", "buy")


class TopKGate(nn.Module):
    """Chooses the experts of a sample and how much each of them counts."""

    def __init__(self, inputs, num_experts, k):
        super().__init__()
        self.k = k
        self.w_gate = nn.Linear(inputs, num_experts, bias=False)
        self.softmax = nn.Softmax(1)

    def forward(self, x):
        probs = self.softmax(self.w_gate(x))
        top_gates, top_indices = probs.topk(self.k, dim=1)
        return torch.zeros_like(probs).scatter(1, top_indices, top_gates)


class MultiTaskMoE(nn.Module):
    def __init__(self, config: MoEConfig):
        super().__init__()
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(config.user_features, config.hidden), nn.ReLU()) for _ in range(config.num_experts)
        )
        self.gates = nn.ModuleDict(
            {task: TopKGate(config.user_features, config.num_experts, config.top_k) for task in config.tasks}
        )
        self.towers = nn.ModuleDict({task: nn.Linear(config.hidden, 1) for task in config.tasks})

    def forward(self, x):
        experts = torch.stack([expert(x) for expert in self.experts], dim=1)
        outputs = {}
        for task, tower in self.towers.items():
            gates = self.gates[task](x)
            mixed = torch.einsum("be,beh->bh", gates, experts)
            outputs[task] = tower(mixed).squeeze(-1)
        return outputs


def multi_task_loss(outputs, labels):
    losses = {task: nn.functional.binary_cross_entropy_with_logits(outputs[task], labels[task]) for task in outputs}
    return sum(losses.values())
