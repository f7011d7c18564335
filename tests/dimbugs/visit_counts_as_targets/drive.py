import torch

from tests.dimbugs.driving import Drive, sums_to_one


def played(half):
    game = half.GameHistory()
    for visits in [(9, 1, 0), (2, 6, 2), (0, 3, 7), (5, 5, 0)]:
        root = half.Node()
        root.visit_count, root.value_sum = sum(visits), float(visits[0])
        for action, count in enumerate(visits):
            if count:
                root.children[action] = half.Node()
                root.children[action].visit_count = count
        game.store_search_statistics(torch.randn(4), root, range(3))
    buffer = half.ReplayBuffer()
    buffer.games.append(game)
    return buffer.get_batch()


def drive(half):
    torch.manual_seed(0)
    network = half.PredictionNetwork()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    batch = played(half)
    return Drive(
        network,
        batch[0],
        lambda outputs, policies: torch.nn.functional.cross_entropy(outputs[0], policies),
        batch[1],
        step=lambda: half.update_weights(network, optimizer, batch),
    )


def symptom(half):
    return not sums_to_one(played(half)[1], dim=1)
