from dataclasses import dataclass


@dataclass
class Config:
    vocab_size: int = 30
    hidden_size: int = 12
    num_labels: int = 4
    lr: float = 0.05
    output_probabilities: bool = False
