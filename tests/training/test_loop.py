"""The loop on a network of one number that each step makes larger by the learning rate."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recli.errors import Exit, RecliError
from recli.model import Run
from recli.training.loop import train
from recli.training.optimizers import move, optimizers, rate
from recli.training.parameters import LEARNERS, Trained
from recli.training.session import session


def fit(run: Run, loss: Callable[..., Tensor] | None = None, **how: Any) -> float:
    network = nn.Module()
    network.x = nn.Parameter(torch.zeros(1))
    asked = Trained(**{"learner": "sgd", "learning_rate": 1.0, **how})
    with session(run):
        return train(
            asked,
            run,
            network,
            lambda: [(1,)],
            loss or (lambda batch: -network.x.sum()),
            lambda: network.x.item(),
        )


def values(*given: float) -> Callable[[Any], float]:
    """A validation that gives these values, one after the other."""
    rest = iter(given)
    return lambda scorer: next(rest)


def test_without_validation_every_epoch_is_run() -> None:
    assert fit(Run(), epochs=7) == 7


def test_the_best_epoch_is_kept_and_ties_are_no_improvement() -> None:
    done: dict[str, float] = {}
    run = Run(validate=values(0.1, 0.3, 0.3, 0.2, 0.3, 9.0), patience=3, finished=done.update)
    assert fit(run, epochs=50) == 2
    assert done == {"epochs": 5, "best_epoch": 2, "valid": 0.3}


def test_a_difference_in_the_last_place_is_an_improvement() -> None:
    better = float(np.nextafter(0.3, 1))
    assert fit(Run(validate=values(0.3, better, 0.1, 0.1), patience=2), epochs=50) == 2


def test_an_improvement_starts_the_count_anew_and_the_last_epoch_is_judged() -> None:
    run = Run(validate=values(1, 0, 2, 0, 3), patience=2, eval_every=2)
    assert fit(run, epochs=9) == 9


def test_the_log_is_told_of_every_epoch() -> None:
    log: list[tuple[int, Mapping[str, float]]] = []
    run = Run(validate=values(5.0, 6.0), eval_every=2, log=lambda epoch, told: log.append((epoch, told)))
    fit(run, epochs=3)
    assert log == [
        (1, {"loss": 0.0, "learning_rate": 1.0}),
        (2, {"loss": -1.0, "learning_rate": 1.0, "valid": 5.0}),
        (3, {"loss": -2.0, "learning_rate": 1.0, "valid": 6.0}),
    ]


def test_a_loss_that_is_not_a_number_stops_with_the_step_and_the_rate() -> None:
    losses = iter([1.0, float("nan")])
    with pytest.raises(RecliError, match=r"nan in step 1 of epoch 2, at a learning rate of 0\.5") as caught:
        fit(Run(), lambda batch: torch.tensor(next(losses), requires_grad=True), learning_rate=0.5)
    assert caught.value.code == Exit.DIVERGED


def test_numbers_that_became_infinite_stop_too() -> None:
    with pytest.raises(RecliError, match="became infinite") as caught:
        fit(Run(), epochs=1, learning_rate=1e39)
    assert caught.value.code == Exit.DIVERGED


def test_a_gradient_is_no_longer_than_its_limit() -> None:
    assert fit(Run(), epochs=1, clip_grad_norm=0.25) == pytest.approx(0.25, rel=1e-4)


def test_time_that_is_up_ends_training() -> None:
    assert fit(Run(time_budget=1e-9), epochs=1000) == 1


def test_what_torch_is_set_to_is_as_it_was() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    fit(Run(seed=9, threads=1), epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, 1, 0.8535534, 0.5, 0.1464466]),
        ("exponential", [0.5, 1, 1, 0.1, 0.01, 0.001]),
        ("step", [0.5, 1, 1, 1, 0.1, 0.1]),
    ],
)
def test_rates(scheduler: str, expected: list[float]) -> None:
    how = Trained(scheduler=scheduler, epochs=6, learning_rate=1.0, warmup_epochs=2, decay_epochs=2)
    assert [rate(how, epoch) for epoch in range(6)] == pytest.approx(expected)


def test_on_a_plateau_the_rate_falls_at_every_validation_that_is_no_improvement() -> None:
    log: list[tuple[int, Mapping[str, float]]] = []
    given = values(3, 3, 4, 1, 5, 2, 2)
    run = Run(validate=given, patience=2, eval_every=2, log=lambda epoch, told: log.append((epoch, told)))
    fit(run, epochs=14, scheduler="plateau", decay_rate=0.5)
    rates = [told["learning_rate"] for _, told in log]
    assert rates == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125]


def test_a_plateau_without_validation_is_refused() -> None:
    with pytest.raises(RecliError, match="scheduler=plateau goes by validation") as caught:
        fit(Run(), epochs=2, scheduler="plateau")
    assert caught.value.code == Exit.USAGE


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner_makes_a_loss_smaller(learner: str) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 1))
    made = optimizers(Trained(learner=learner, learning_rate=0.01), network)
    losses = []
    for _ in range(30):
        loss = (network(torch.arange(3)) - 1).square().mean()
        losses.append(loss.item())
        for optimizer in made:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in made:
            move(optimizer)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_step_is_the_optimizers_own(learner: str) -> None:
    networks = []
    for own in (True, False):
        torch.manual_seed(1)
        networks.append(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 1)))
        made = optimizers(Trained(learner=learner, learning_rate=0.01), networks[-1])
        for _ in range(3):
            for optimizer in made:
                optimizer.zero_grad()
            networks[-1](torch.arange(3)).square().mean().backward()
            for optimizer in made:
                move(optimizer) if own else optimizer.step()
    for ours, theirs in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(ours, theirs)


def test_momentum_keeps_a_share_of_the_last_step() -> None:
    assert fit(Run(), epochs=3, momentum=0.5) == 1 + 1.5 + 1.75


def test_sparse_adam_moves_only_the_rows_that_were_taken() -> None:
    torch.manual_seed(1)
    network = nn.ModuleDict({"one": nn.Embedding(4, 2), "bag": nn.EmbeddingBag(4, 2, mode="sum")})
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    made = optimizers(Trained(learner="sparse_adam"), network)
    for _ in range(2):
        for optimizer in made:
            optimizer.zero_grad()
        (
            network["one"](torch.tensor([1])).sum() + network["bag"](torch.tensor([2]), torch.tensor([0])).sum()
        ).backward()
        for optimizer in made:
            optimizer.step()
    moved = {name: (weight != before[name]).any(1).tolist() for name, weight in network.named_parameters()}
    assert moved == {"one.weight": [False, True, False, False], "bag.weight": [False, False, True, False]}


@pytest.mark.parametrize("name", ["weight_decay", "clip_grad_norm"])
def test_sparse_adam_refuses_what_it_cannot(name: str) -> None:
    with pytest.raises(RecliError, match=f"sparse_adam has no {name}") as caught:
        optimizers(Trained(learner="sparse_adam", **{name: 0.1}), nn.Embedding(2, 1))
    assert caught.value.code == Exit.USAGE


def test_sparse_adam_needs_rows() -> None:
    with pytest.raises(RecliError, match="no embedding") as caught:
        optimizers(Trained(learner="sparse_adam"), nn.Linear(2, 1))
    assert caught.value.code == Exit.USAGE
