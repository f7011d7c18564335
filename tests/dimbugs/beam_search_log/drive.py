import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.Decoder(9)
    generator = half.SequenceGenerator(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    source, reference = torch.randn(3, 5), torch.randint(0, 9, (3, 4))

    def loss(outputs, words):
        return F.cross_entropy(outputs.mT, words)

    def step():
        return half.minimum_risk_step(generator, optimizer, source, reference)

    return Drive(model, (source, reference), loss, reference, step=step)


def symptom(half):
    """Whether a beam that is cold has no second best sentence."""
    torch.manual_seed(0)
    _, total = half.SequenceGenerator(half.Decoder(9), temperature=1e-4).generate(torch.randn(3, 5))
    return not bool(total.isfinite().all())
