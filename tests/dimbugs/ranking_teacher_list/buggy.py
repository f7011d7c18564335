import torch
from torch import nn, softmax


class FollowTeacher(nn.Module):
    """How far the order of a list is from the order that a teacher gives it."""

    def __init__(self, warmth=1.0):
        super().__init__()
        self.warmth = warmth
        self.divergence = nn.KLDivLoss(reduction="batchmean")

    def forward(self, marks, teacher_marks):
        ours = softmax(marks / self.warmth, dim=-1)
        theirs = softmax(teacher_marks / self.warmth, dim=-1)
        return self.divergence(ours, theirs)


class Ranker(nn.Module):
    def __init__(self, words=30, size=8):
        super().__init__()
        self.of_word = nn.EmbeddingBag(words, size, mode="mean")

    def forward(self, query, passages):
        points = torch.stack([self.of_word(passage) for passage in passages.unbind(1)], dim=1)
        return torch.matmul(points, self.of_word(query).unsqueeze(-1)).squeeze(-1)


OBJECTIVES = {"teacher": FollowTeacher, "margin": nn.MultiMarginLoss}


class Course:
    def __init__(self, objective="teacher", lr=1e-2):
        self.ranker = Ranker()
        self.objective = OBJECTIVES[objective]()
        self.optimizer = torch.optim.Adam(self.ranker.parameters(), lr=lr)

    def lesson(self, query, passages, teacher_marks):
        loss = self.objective(self.ranker(query, passages), teacher_marks)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
