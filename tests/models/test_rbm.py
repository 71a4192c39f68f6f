"""RBM against sums over all states of its units."""

from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from recli.interactions import Interactions
from recli.model import Run, configure
from recli.models import catalog, store
from recli.models.autoencoder import rbm
from recli.training.networks import Encoder
from tests.checks import checkerboard, tiny, withheld_first

KINDS = ["binary", "softmax"]


def machine(kind: str, items: int = 5, units: int = 3) -> Any:
    torch.manual_seed(4)
    network = rbm.build(items, units, kind == "softmax")
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network


def energy(network: Any, v: Tensor, h: Tensor) -> Tensor:
    """That of visible and hidden states (Salakhutdinov et al. 2007, eq. 4; Salakhutdinov & Hinton 2009, §2)."""
    times = v.sum() if network.softmax else 1
    return -(v @ network.weights @ h) - network.items @ v - times * network.hidden @ h


def states(units: int) -> Tensor:
    return torch.tensor(list(product([0.0, 1.0], repeat=units)))


def boltzmann(energies: list[Tensor]) -> Tensor:
    return torch.softmax(-torch.stack(energies), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_free_energy_is_that_of_all_hidden_states(kind: str) -> None:
    network = machine(kind)
    v = torch.tensor([[1.0, 0, 1, 1, 0], [0, 0, 0, 1, 0]])
    expected = torch.stack([-torch.stack([-energy(network, row, h) for h in states(3)]).logsumexp(0) for row in v])
    torch.testing.assert_close(rbm.free_energy(network, v), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_units_are_what_the_energies_say(kind: str) -> None:
    network, h = machine(kind), states(3)
    v = torch.tensor([1.0, 1, 0, 0, 1])
    torch.testing.assert_close(rbm.hidden(network, v[None])[0], boltzmann([energy(network, v, one) for one in h]) @ h)
    shown, draws = (states(5), 1) if kind == "binary" else (torch.eye(5), 3)  # of all units, or of one draw
    expected = draws * boltzmann([energy(network, one, h[5]) for one in shown]) @ shown
    torch.testing.assert_close(rbm.visible(network, h[5:6], torch.full((1, 1), 3.0))[0], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_contrastive_divergence(kind: str) -> None:
    network = machine(kind)
    data, shown = torch.tensor([[1.0, 0, 1, 1, 0]]), torch.tensor([[0.3, 0.9, 1, 0.2, 0.6]])
    (rbm.free_energy(network, data) - rbm.free_energy(network, shown)).mean().backward()
    on, after = rbm.hidden(network, data), rbm.hidden(network, shown)
    times = (data.sum(), shown.sum()) if kind == "softmax" else (1, 1)
    torch.testing.assert_close(-network.weights.grad, data.T @ on - shown.T @ after)
    torch.testing.assert_close(-network.items.grad, (data - shown)[0])
    torch.testing.assert_close(-network.hidden.grad, (times[0] * on - times[1] * after)[0])


def test_what_is_learned_is_the_distribution_of_the_histories() -> None:
    """Users of two kinds, one twice as many: of the sum over all 64 states of the machine these two have nearly all.

    How the two share it is rough: few steps of Gibbs sampling seldom lead from one kind to the other.
    """
    kinds = [("a", "b", "c"), ("x", "y", "z")]
    rows = [(f"u{user}", item) for user in range(90) for item in kinds[user % 3 == 0]]
    data = Interactions.of(pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"))
    how = {"visible": "binary", "hidden_size": 3, "learning_rate": 0.01, "epochs": 600, "cd_steps": 5}
    scorer = configure(catalog.resolve("rbm").cls, how).fit(data, Run())
    assert isinstance(scorer, Encoder)
    _, network = scorer._network
    with torch.no_grad():
        found = torch.softmax(-rbm.free_energy(network, states(6)), 0).numpy()
    own = [np.isin(data.items.to_numpy(), kind) for kind in kinds]
    shares = [float(found[(states(6).numpy() == one).all(1)][0]) for one in own]
    assert shares == pytest.approx([2 / 3, 1 / 3], abs=0.2)
    assert sum(shares) > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_is_what_the_visible_unit_gets(kind: str) -> None:
    scorer = configure(catalog.resolve("rbm").cls, {"visible": kind, "epochs": 5, "hidden_size": 4}).fit(tiny(), Run())
    w, taken = store.pack(scorer)[0], tiny().matrix.toarray().astype(np.float64)
    times = taken.sum(1, keepdims=True) if kind == "softmax" else 1
    on = 1 / (1 + np.exp(-(taken @ w["weights.weights"] + times * w["weights.hidden"])))
    expected = w["weights.items"] + on @ w["weights.weights"].T
    np.testing.assert_allclose(scorer.score(tiny().queries()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_board_is_understood(kind: str) -> None:
    model = configure(catalog.resolve("rbm").cls, {"visible": kind, "epochs": 100, "learning_rate": 0.01})
    assert withheld_first(model.fit(checkerboard(), Run())) == 1.0
