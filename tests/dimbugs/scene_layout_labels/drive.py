import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    decoder = half.LayoutDecoder()
    trainer = half.LayoutTrainer(decoder)
    captions, labels = torch.randn(3, 10), torch.tensor([[1, 2, 3, 5], [4, 1, 0, 0], [2, 2, 5, 0]])
    batch = captions, labels, torch.rand(3, 4, 4)
    return Drive(decoder, (captions, labels), step=lambda: trainer.train([batch]))


def symptom(half):
    trainer = half.LayoutTrainer(half.LayoutDecoder())
    label_loss, _ = trainer.losses(torch.randn(2, 10), torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.rand(2, 3, 4))
    return float(label_loss) < 0
