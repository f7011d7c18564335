import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.TinyLM()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = iter([([[1, 2], [3, 4, 5]], [[6, 7], [8]]), ([[1, 2, 3, 4, 5, 6], [7, 8, 9, 1, 2]], [[3], [4]])] * 50)

    def step():
        return half.sft_step(model, optimizer, *half.collate(*next(batches), length=5))

    return Drive(model, half.collate([[1, 2], [3]], [[4], [5]], 5)[0], step=step)


def symptom(half):
    run = drive(half)
    return any(bool(run.step().isnan()) for _ in range(2))
