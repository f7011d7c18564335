import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    vit = half.ViT()
    optimizer = torch.optim.Adam(vit.parameters(), lr=half.LEARNING_RATE)
    images, labels = torch.randn(3, 3, 8, 8), torch.tensor([4, 0, 2])
    return Drive(
        vit, images, F.cross_entropy, labels, step=lambda: half.train_one_batch(vit, optimizer, images, labels)
    )


def symptom(half):
    """Whether the weights with which a patch looks at the others do not sum to 1."""
    vit = half.ViT()
    vit(torch.randn(2, 3, 8, 8))
    return not sums_to_one(vit.blocks[0].attention_maps[0], 2)
