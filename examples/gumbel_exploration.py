"""How much Gumbel-softmax explores: exactly as much as drawing from the softmax does, whatever its tau.

1,000 players, each with a bandit of ten arms, the best of which pays 0.9 on average. A player scores an arm by 20 times
its mean reward so far (0 for an arm that was never pulled) and draws the next arm from these scores. The noise of
Gumbel-softmax only makes the draw: it does not keep a player from settling on the first arm that pays, and tau changes
how a hard sample is relaxed, not which arm it is. A temperature on the scores changes which arm it is.

Run: python examples/gumbel_exploration.py
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

import anymax

PLAYERS, ARMS, PULLS = 1000, 10, 200


class Game(NamedTuple):
    arms: Tensor  # (PULLS, PLAYERS)
    entropy: Tensor  # (PULLS,), of the probabilities that softmax gives to the arms
    scores: Tensor  # (PLAYERS, ARMS), after the last pull


def play(draw: Callable[[Tensor, Tensor], Tensor]) -> Game:
    torch.manual_seed(0)
    pay = torch.linspace(0, 0.9, ARMS)
    rewards, pulls, scores = torch.zeros(3, PLAYERS, ARMS)
    arms, entropies = [], []
    for pull in range(PULLS):
        arm = draw(scores, torch.tensor(pull))
        chosen = torch.nn.functional.one_hot(arm, ARMS)
        rewards += chosen * (pay + 0.1 * torch.randn(PLAYERS, ARMS))
        pulls += chosen
        arms.append(arm)
        entropies.append(anymax.log_prob(scores, arm).entropy.mean())
        scores = 20 * rewards / pulls.clamp(min=1)
    return Game(torch.stack(arms), torch.stack(entropies), scores)


def hard_sample(tau: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda scores, seed: anymax.gumbel_softmax(scores, tau, hard=True, dim=1, generator=seed).argmax(1)


def softmax_sample(temperature: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda scores, seed: anymax.sample(scores, 1, temperature=temperature, generator=seed)


def main() -> None:
    plain = play(softmax_sample(1.0))
    print("nats of entropy at pull 1, 2, 10 and 200:", plain.entropy[[0, 1, 9, PULLS - 1]])
    print("arms that a player tried, and the share of players who found the best one:")
    for name, game in (
        ("sample, temperature 1", plain),
        ("gumbel_softmax, tau 0.1", play(hard_sample(0.1))),
        ("gumbel_softmax, tau 10", play(hard_sample(10.0))),
        ("sample, temperature 5", play(softmax_sample(5.0))),
    ):
        tried = torch.nn.functional.one_hot(game.arms, ARMS).amax(0).sum(1).float().mean().item()
        found = (game.scores.argmax(1) == ARMS - 1).float().mean().item()
        print(f"  {name:24} {tried:.2f} {found:.3f}  same arms as sample: {torch.equal(game.arms, plain.arms)}")


if __name__ == "__main__":
    main()
