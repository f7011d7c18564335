import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    course = half.Course()
    texts = torch.randint(0, 30, (3, 4)), torch.randint(0, 30, (3, 5, 6))
    marks = torch.randn(3, 5)
    return Drive(course.ranker, texts, course.objective, marks, step=lambda: course.lesson(*texts, marks))


def symptom(half):
    marks = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
    return abs(float(half.FollowTeacher()(marks, marks))) > 1e-3
