from dataclasses import dataclass

import torch
from torch import Tensor, nn

BIG_NEG = -2.3819763e38  # see the reference implementation


@dataclass
class PolicyConfig:
    state_dim: int = 5
    action_dim: int = 2
    width: int = 8
    num_heads: int = 2
    dtype: torch.dtype = torch.float16


def eager_attention_forward(attention_mask: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of (batch, heads, tokens, width); True in the mask, (batch, tokens, tokens), is seen."""
    att_weights = torch.matmul(query, key.transpose(2, 3)) * query.shape[-1] ** -0.5
    big_neg = torch.full_like(att_weights, BIG_NEG)
    masked_att_weights = torch.where(attention_mask[:, None, :, :], att_weights, big_neg)
    probs = nn.functional.softmax(masked_att_weights, dim=-1)
    return torch.matmul(probs, value).transpose(1, 2).flatten(2)


class ChunkPolicy(nn.Module):
    """An action for each of the last states of a robot, from that state and those before it."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.config = config
        self.state_proj = nn.Linear(config.state_dim, config.width)
        self.qkv_proj = nn.Linear(config.width, 3 * config.width)
        self.action_out_proj = nn.Linear(config.width, config.action_dim)
        self.to(config.dtype)

    def forward(self, states: Tensor) -> Tensor:
        batch, steps, _ = states.shape
        tokens = self.state_proj(states.to(self.config.dtype))
        heads = self.qkv_proj(tokens).view(batch, steps, 3, self.config.num_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        causal = torch.ones(steps, steps, dtype=torch.bool, device=states.device).tril()
        seen = eager_attention_forward(causal.expand(batch, -1, -1), query, key, value)
        return self.action_out_proj(tokens + seen).float()


def make_optimizer(policy: ChunkPolicy, lr: float = 1e-3) -> torch.optim.Optimizer:
    return torch.optim.SGD(policy.parameters(), lr=lr)


def update_policy(policy, optimizer, states, actions):
    loss = nn.functional.mse_loss(policy(states), actions)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
