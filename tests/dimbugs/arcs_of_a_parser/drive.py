import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive

HEADS = torch.tensor([[-1, 2, 0, 2, 3, 3], [-1, 0, 1, 1, 5, 3], [-1, 4, 4, 2, 0, 4]])


def drive(half):
    torch.manual_seed(0)
    parser = half.DependencyParser(20, 4)
    optimizer = torch.optim.Adam(parser.parameters(), lr=2e-3)
    sentences, relations = torch.randint(0, 20, (3, 6)), torch.randint(0, 4, (3, 6))
    relations[:, 0] = -1
    return Drive(parser, sentences, step=lambda: half.update(parser, optimizer, sentences, HEADS, relations))


def symptom(half):
    """Whether scores that leave no doubt about any head cost something."""
    arcs = 30.0 * F.one_hot(HEADS.clamp(min=0), 6)
    relations = torch.zeros(3, 6, dtype=torch.int64)
    output = half.ParserOutput(arcs, 30.0 * F.one_hot(relations, 4))
    return float(half.parser_loss(output, HEADS, relations)) > 0.1
