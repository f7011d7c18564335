import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    reader = half.QuestionReader(words=11)
    optimizer = torch.optim.Adam(reader.parameters(), lr=1e-3)
    question, entity = torch.randint(0, 11, (7, 3)), torch.randn(3, 4)
    run = Drive(reader, question, half.closeness, entity, batch_dim=1)
    run.step = lambda: half.train_step(reader, optimizer, question, entity)
    return run


def symptom(half):
    """Whether the attention layer has no influence on the result."""
    run = drive(half)
    before = run.model(run.example_input)
    torch.nn.init.constant_(run.model.relevance.weight, 3.0)
    return torch.allclose(before, run.model(run.example_input))
