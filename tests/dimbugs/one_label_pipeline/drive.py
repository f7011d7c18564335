import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.ImageClassifier(half.ModelConfig())
    pipeline = half.ImageClassificationPipeline(model)
    images, labels = torch.randn(4, 3, 6, 6), torch.tensor([0, 1, 1, 0])

    def step():
        loss = half.finetune(model, [(images, labels)])
        pipeline(images)
        return loss

    return Drive(model, images, step=step)


def symptom(half):
    """Whether the pipeline says the same of every image."""
    torch.manual_seed(0)
    pipeline = half.ImageClassificationPipeline(half.ImageClassifier(half.ModelConfig()))
    return len({answer["score"] for answer in pipeline(torch.randn(4, 3, 6, 6))}) == 1
