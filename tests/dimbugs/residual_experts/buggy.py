import torch
import torch.nn.functional as F
from torch import nn


class Top1Experts(nn.Module):
    def __init__(self, make_expert, hidden_size, num_experts):
        super().__init__()
        self.wg = nn.Linear(hidden_size, num_experts, bias=False)
        self.experts = nn.ModuleList([make_expert() for _ in range(num_experts)])

    def forward(self, x):
        gates = F.softmax(self.wg(x), dim=-1)
        best = gates.argmax(dim=-1, keepdim=True)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)
        chosen = outputs.take_along_dim(best.unsqueeze(-1), dim=-1).squeeze(-1)
        return chosen * gates.gather(-1, best)


class MoE(nn.Module):
    """Experts, and with `use_residual` a plain network next to them; a layer says how much of each."""

    def __init__(self, hidden_size, make_expert, num_experts=2, use_residual=False):
        super().__init__()
        self.use_residual = use_residual
        self.deepspeed_moe = Top1Experts(make_expert, hidden_size, num_experts)
        if use_residual:
            self.mlp = make_expert()
            self.coefficient = nn.Linear(hidden_size, 2)

    def forward(self, hidden_states):
        output = self.deepspeed_moe(hidden_states)
        if self.use_residual:
            output_mlp = self.mlp(hidden_states)
            coef = self.coefficient(hidden_states)
            coef = F.softmax(coef, dim=1)
            output = output * coef[..., 0:1] + output_mlp * coef[..., 1:]
        return output


class NextItem(nn.Module):
    """Scores of all items after a session; the last item clicked goes through the same experts as the session."""

    def __init__(self, items=11, hidden=8):
        super().__init__()
        self.items = nn.Embedding(items, hidden)
        self.rnn = nn.GRU(hidden, hidden, batch_first=True)
        self.moe = MoE(hidden, lambda: nn.Sequential(nn.Linear(hidden, hidden), nn.GELU()), use_residual=True)

    def forward(self, sessions):
        states, _ = self.rnn(self.items(sessions))
        session = self.moe(states).mean(dim=1)
        last = self.moe(self.items(sessions[:, -1]))
        return (session + last) @ self.items.weight.T
