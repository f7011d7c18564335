import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    config, model, optimizer = half.setup()
    input_ids = torch.randint(0, 24, (3, 6))
    return Drive(model, input_ids[:, :-1], step=lambda: half.training_step(config, model, optimizer, input_ids))


def symptom(half):
    """Whether a router that sends all tokens to the same experts is hardly punished."""
    config, model, _ = half.setup()
    for layer in model.layers:
        torch.nn.init.zeros_(layer.router.gate.weight[2:])
        layer.router.gate.weight.data[:2] = 10.0
    torch.nn.init.ones_(model.embed_tokens.weight)
    _, router_logits = model(torch.randint(0, 24, (3, 5)))
    return float(half.load_balancing_loss(router_logits, config.num_experts, config.top_k)) < 3.5
