import torch

from tests.dimbugs.driving import Drive, double_softmax_floor


def drive(half):
    torch.manual_seed(0)
    gan = half.ACGAN()
    optimizers = [torch.optim.Adam(net.parameters(), lr=2e-3) for net in (gan.generator, gan.discriminator)]
    imgs, labels = torch.randn(4, 1, 8, 8), torch.arange(4)

    def step():
        for index, optimizer in enumerate(optimizers):
            loss = gan.training_step((imgs, labels), index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss

    def loss(outputs, labels):
        return gan.auxiliary_loss(outputs[1], labels)

    return Drive(gan.discriminator, imgs, loss, labels, step=step)


def symptom(half):
    """Whether the loss of the classes stays above the floor of probabilities taken for scores."""
    run = drive(half)
    for _ in range(60):
        run.step()
    return float(run.loss(run.model(run.example_input), run.target)) > double_softmax_floor(4) - 1e-3
