import math

import torch
from torch.utils.data import default_collate

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    trainer = half.BERTTrainer(half.SessionModel())
    dataset = half.BertTrainDataset([[3, 5], [8, 2, 4]], mask_prob=0.1, seed=0)
    batch = default_collate([dataset[0], dataset[1]])
    return Drive(trainer.model, batch[0], step=lambda: trainer.train_batch(batch))


def symptom(half):
    return math.isnan(drive(half).step())
