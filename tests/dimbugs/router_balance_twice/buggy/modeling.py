import torch
from torch import nn


class TopKRouter(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.top_k = config.top_k
        self.gate = nn.Linear(config.hidden_size, config.num_experts, bias=False)

    def forward(self, hidden_states):
        router_logits = self.gate(hidden_states)
        router_logits = torch.nn.functional.softmax(router_logits, dim=-1)
        top_value, top_index = torch.topk(router_logits, self.top_k, dim=-1)
        top_value = top_value / top_value.sum(dim=-1, keepdim=True)
        scores = torch.zeros_like(router_logits).scatter(-1, top_index, top_value)
        return router_logits, scores


class SparseBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.router = TopKRouter(config)
        size = config.hidden_size
        self.experts = nn.ModuleList([nn.Linear(size, size) for _ in range(config.num_experts)])

    def forward(self, hidden_states):
        router_logits, scores = self.router(hidden_states)
        outputs = torch.stack([torch.relu(expert(hidden_states)) for expert in self.experts], dim=-2)
        return hidden_states + (scores.unsqueeze(-1) * outputs).sum(dim=-2), router_logits


class MoeForCausalLM(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([SparseBlock(config) for _ in range(config.num_hidden_layers)])
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, input_ids):
        hidden_states, all_router_logits = self.embed_tokens(input_ids), ()
        for layer in self.layers:
            hidden_states, router_logits = layer(hidden_states)
            all_router_logits += (router_logits,)
        return self.lm_head(hidden_states), all_router_logits
