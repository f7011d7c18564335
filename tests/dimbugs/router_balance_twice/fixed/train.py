from types import SimpleNamespace

import torch
from modeling import MoeForCausalLM
from torch.nn import functional as F


def load_balancing_loss(gate_logits, num_experts, top_k):
    """How far the experts that get many tokens are also those that get much of each token."""
    logits = torch.cat([layer.flatten(0, -2) for layer in gate_logits], dim=0)
    routing_weights = F.softmax(logits, dim=-1)
    chosen = routing_weights.topk(top_k, dim=-1).indices
    tokens_per_expert = F.one_hot(chosen, num_experts).float().mean(dim=0)
    return num_experts * (tokens_per_expert * routing_weights.mean(dim=0)).sum()


def setup():
    config = SimpleNamespace(
        vocab_size=24, hidden_size=8, num_hidden_layers=2, num_experts=4, top_k=2, router_aux_loss_coef=0.1
    )
    model = MoeForCausalLM(config)
    return config, model, torch.optim.AdamW(model.parameters(), lr=1e-3)


def training_step(config, model, optimizer, input_ids):
    logits, router_logits = model(input_ids[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), input_ids[:, 1:].flatten())
    aux_loss = load_balancing_loss(router_logits, config.num_experts, config.top_k)
    loss = loss + config.router_aux_loss_coef * aux_loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
