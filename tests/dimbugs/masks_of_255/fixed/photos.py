import numpy as np
import torch
from torch.utils.data import Dataset


class Cutouts(Dataset):
    """Photos, and what is cut out of them, both as grey values from 0 to 255."""

    def __init__(self, count=4, seed=0):
        random = np.random.default_rng(seed)
        self.photos = random.integers(0, 256, (count, 6, 8), dtype=np.uint8)
        self.cutouts = np.where(self.photos > 100, 255, 0).astype(np.uint8)

    def __len__(self):
        return len(self.photos)

    def __getitem__(self, row):
        photo = torch.from_numpy(self.photos[row]).unsqueeze(0).float() / 255
        cutout = torch.from_numpy(self.cutouts[row]).unsqueeze(0).float() / 255
        return photo, cutout
