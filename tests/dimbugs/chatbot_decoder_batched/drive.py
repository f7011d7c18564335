import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    bot = half.Chatbot(n_words=9)
    optimizer = torch.optim.SGD(bot.parameters(), lr=0.1)
    questions, answers = torch.randint(1, 9, (3, half.MAX_LENGTH)), torch.randint(1, 9, (3, 4))
    step = lambda: half.train(bot, optimizer, questions, answers)  # noqa: E731
    return Drive(bot, (questions, answers), F.cross_entropy, answers, step=step)


def symptom(half):
    weights = drive(half).model.decoder.attention(torch.randn(1, 3, 8), torch.randn(1, 3, 8))
    return bool((weights == 1).all())
