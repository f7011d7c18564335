import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net = half.PointerNet(passage_dim=6, question_dim=5)
    opt = torch.optim.Adadelta(net.parameters())
    passage, question, answers = torch.randn(3, 7, 6), torch.randn(3, 5), torch.tensor([[0, 2], [4, 4], [1, 6]])
    step = lambda: half.run_batch(net, opt, passage, question, answers)  # noqa: E731
    return Drive(net, (passage, question), net.loss, answers, step=step)


def symptom(half):
    """Whether what is attended to of a passage that is one word, said again and again, is not that word."""
    net, seen = drive(half).model, []
    net.cell.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(torch.ones(2, 7, 6), torch.randn(2, 5))
    return not torch.allclose(seen[0], torch.ones(2, 6))
