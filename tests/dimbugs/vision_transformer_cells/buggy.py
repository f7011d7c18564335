# %% [markdown]
# # Vision Transformer, step by step

# %%
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

PATCH_SIZE, HIDDEN_SIZE, NUM_HEADS, NUM_CLASSES = 2, 12, 3, 5
LEARNING_RATE = 1e-3


# %% 1. from an image to a row of patches
def split_patches(images):
    patches = F.unfold(images, kernel_size=PATCH_SIZE, stride=PATCH_SIZE)  # batch, pixels of a patch, patches
    return patches.transpose(1, 2)


# %% 2. attention, one head after the other
class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.head_size = HIDDEN_SIZE // NUM_HEADS
        self.query = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)
        self.key = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)
        self.value = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)
        self.dense = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)

    def forward(self, x):
        heads, self.attention_maps = [], []
        qs, ks, vs = (layer(x).chunk(NUM_HEADS, dim=-1) for layer in (self.query, self.key, self.value))
        for q, k, v in zip(qs, ks, vs, strict=True):
            scores = torch.bmm(q, k.transpose(1, 2)) / math.sqrt(self.head_size)
            attention = nn.Softmax(dim=1)(scores)
            self.attention_maps.append(attention)
            heads.append(torch.bmm(attention, v))
        return self.dense(torch.cat(heads, dim=-1))


# %% 3. the model: a class token in front, positions added, blocks
class ViT(nn.Module):
    def __init__(self, image_size=8, num_blocks=2):
        super().__init__()
        num_patches = (image_size // PATCH_SIZE) ** 2
        self.projection = nn.Linear(3 * PATCH_SIZE**2, HIDDEN_SIZE)
        self.class_token = nn.Parameter(torch.randn(1, 1, HIDDEN_SIZE))
        self.positions = nn.Parameter(torch.randn(1, num_patches + 1, HIDDEN_SIZE))
        self.blocks = nn.ModuleList(SelfAttention() for _ in range(num_blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN_SIZE) for _ in range(num_blocks))
        self.classifier = nn.Linear(HIDDEN_SIZE, NUM_CLASSES)

    def forward(self, images):
        x = self.projection(split_patches(images))
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1) + self.positions
        for norm, block in zip(self.norms, self.blocks, strict=True):
            x = x + block(norm(x))
        return self.classifier(x[:, 0])


# %% 4. training
def train_one_batch(vit, optimizer, images, labels):
    optimizer.zero_grad()
    loss = F.cross_entropy(vit(images), labels)
    loss.backward()
    optimizer.step()
    return loss
