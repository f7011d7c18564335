# %% [markdown]
# # Workshop: does a chain fold into helices, strands or both?

# %%
import torch
import torch.nn.functional as F
from torch import nn, optim

amino_acids = "ACDEFGHIKLMNPQRSTVWY"
aa_to_idx = {aa: i for i, aa in enumerate(amino_acids)}


# %%
def encode(sequences):
    idx = torch.tensor([[aa_to_idx[aa] for aa in seq] for seq in sequences])
    return F.one_hot(idx, len(amino_acids)).float().transpose(1, 2)  # (batch, 20, length)


# %%
class ProteinCNN(nn.Module):
    def __init__(self, num_classes=3, num_filters=16):
        super().__init__()
        self.conv = nn.Conv1d(20, num_filters, kernel_size=5, padding=2)
        self.pool = nn.AdaptiveMaxPool1d(1)
        self.fc = nn.Linear(num_filters, num_classes)

    def forward(self, x):
        x = F.relu(self.conv(x))
        x = self.pool(x).squeeze(-1)
        logits = self.fc(x)
        return logits


# %%
torch.manual_seed(42)
model = ProteinCNN()
criterion = nn.CrossEntropyLoss()
optimizer = optim.Adam(model.parameters(), lr=0.02)


# %%
def train_step(sequences, folds):
    optimizer.zero_grad()
    loss = criterion(model(encode(sequences)), folds)
    loss.backward()
    optimizer.step()
    return loss
