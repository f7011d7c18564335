import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.MultiTaskMoE(half.MoEConfig())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    users = torch.randn(6, 5)
    labels = {"click": torch.tensor([1.0, 0, 1, 0, 1, 1]), "buy": torch.tensor([0.0, 0, 1, 0, 0, 1])}

    def step():
        loss = half.multi_task_loss(model(users), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Drive(model, users, half.multi_task_loss, labels, step=step)


def symptom(half):
    """Whether no gate gets a gradient."""
    run = drive(half)
    run.step()
    return all(gate.w_gate.weight.grad.abs().max() < 1e-8 for gate in run.model.gates.values())
