import torch
from torch import nn


class GatedContacts(nn.Module):
    """Residues of a complex talk to each other where a gate lets them."""

    def __init__(self, residue_size, contact_size):
        super().__init__()
        self.gate = nn.Linear(contact_size, residue_size)
        self.message = nn.Linear(residue_size, residue_size)

    def open_gates(self, state):
        state["gates"] = self.gate(state["contacts"]).sigmoid()

    def send(self, state):
        messages = self.message(state["residues"]).unsqueeze(1)
        return (torch.sigmoid(state["gates"]) * messages).mean(dim=2)

    def forward(self, residues, contacts):
        state = {"residues": residues, "contacts": contacts}
        self.open_gates(state)
        return residues + torch.tanh(self.send(state))
