"""AutoRec: its gradient by differences, Adam by its paper's lines, and the rows it yields against the network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recli.errors import Exit, RecliError
from recli.interactions import Queries
from recli.kernels import autorec
from recli.model import Run
from recli.models.rating.autorec import AutoRec
from recli.sources import read
from tests.checks import tiny
from tests.models.test_baseline import as_listed, figures

Doubles = NDArray[np.float64]


def table() -> csr_matrix:
    """Users × items with the ratings, some of them twice."""
    data = tiny()
    return csr_matrix((data.rating, data.item, data.indptr), shape=(data.n_users, data.n_items))


def output(events: csr_matrix, every: Doubles, width: int) -> Doubles:
    """The network's, dense: rows × columns."""
    columns = events.shape[1]
    encoder, decoder, hidden_bias, bias = np.split(every, np.cumsum([columns * width, columns * width, width]))
    hidden = 1 / (1 + np.exp(-(events @ encoder.reshape(columns, width) + hidden_bias)))
    return hidden @ decoder.reshape(columns, width).T + bias


def loss(events: csr_matrix, every: Doubles, width: int, reg: float) -> float:
    rows = np.repeat(np.arange(events.shape[0]), np.diff(events.indptr))
    error = output(events, every, width)[rows, events.indices] - events.data
    return float((error**2).sum() + reg * (every[: 2 * events.shape[1] * width] ** 2).sum()) / 2


def test_gradient_by_differences() -> None:
    events, width, reg = table(), 3, 0.7
    network, gradient = (autorec.Network.of(events.shape[1], width) for _ in range(2))
    network.every[:] = np.random.default_rng(5).normal(0, 0.3, len(network.every))
    squares = autorec.descend(events, network, gradient, reg)
    every = network.every.astype(np.float64)
    assert squares == pytest.approx(2 * loss(events, every, width, 0.0), rel=1e-5)
    steps = 1e-4 * np.eye(len(every))
    differences = [loss(events, every + h, width, reg) - loss(events, every - h, width, reg) for h in steps]
    np.testing.assert_allclose(gradient.every, np.array(differences) / 2e-4, rtol=1e-3, atol=1e-3)


def test_adam_by_its_algorithm() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(50), rng.standard_normal((4, 50)) * np.logspace(-4, 4, 50)
    values = start.astype(np.float32)
    adam, x, m, v = autorec.Adam(values), start, np.zeros(50), np.zeros(50)
    for t, g in enumerate(gradients, 1):
        adam.step(g.astype(np.float32), 0.1)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(values, x, rtol=1e-4, atol=1e-5)


SMALL = AutoRec(hidden_size=6, epochs=8, learning_rate=0.05, reg_weight=3.0, train_batch_size=7)


@pytest.mark.parametrize("user_based", [False, True])
def test_rows_and_biases_are_the_network(user_based: bool) -> None:
    model = replace(SMALL, user_based=user_based)
    events = table() if user_based else table().T.tocsr()
    network = model._trained(events, Run())
    expected = output(events, network.every.astype(np.float64), 6)
    queries = tiny().queries()
    scores = model.fit(tiny(), Run()).score(queries)
    np.testing.assert_allclose(scores, expected if user_based else expected.T, rtol=1e-4)
    assert scores.std(0).min() > 0.01
    assert scores.std(1).min() > 0.01


def test_who_has_no_ratings() -> None:
    """An item gets its users' output for an empty input, a user the mean of all users, by their ratings."""
    network = SMALL._trained(table().T.tocsr(), Run())
    empty = output(csr_matrix((1, tiny().n_users)), network.every.astype(np.float64), 6)[0]
    scorer, queries = SMALL.fit(tiny(), Run()), tiny().queries()
    unknown = np.full(len(queries), -1, np.int32)
    np.testing.assert_allclose(scorer.score_pairs(queries, unknown), empty, rtol=1e-4)
    stranger = Queries(user=unknown[:1], indptr=np.zeros(2, np.int64), item=np.empty(0, np.int32))
    mean = np.average(scorer.score(queries), 0, np.diff(tiny().indptr))
    np.testing.assert_allclose(scorer.score(stranger)[0], mean, rtol=1e-4)


def test_another_scale_is_only_another_scale() -> None:
    data = tiny()
    other = replace(data, rating=10 * data.rating - 30)
    scores = [SMALL.fit(one, Run()).score(data.queries()) for one in (data, other)]
    np.testing.assert_allclose(scores[1], 10 * scores[0] - 30, atol=1e-3)


def test_learns_what_there_is_to_learn() -> None:
    """Without regularisation, the ratings are learned by heart."""
    data = tiny()
    scorer = AutoRec(hidden_size=50, epochs=300, learning_rate=0.02, reg_weight=0.0).fit(data, Run())
    who = np.repeat(np.arange(data.n_users), np.diff(data.indptr))
    error = scorer.score(data.queries())[who, data.item] - data.rating
    assert np.sqrt(np.mean(error**2)) < 0.65 * data.rating.std()  # some pairs are there twice, rated otherwise


def test_steps_that_are_too_long_are_said() -> None:
    with pytest.raises(RecliError, match="infinite or NaN") as caught:
        AutoRec(learning_rate=1e38, hidden_size=3).fit(tiny(), Run())
    assert caught.value.code == Exit.DIVERGED
    assert caught.value.hint == "lower learning_rate=1e+38"


@pytest.mark.shared
def test_movielens(shared: Path) -> None:
    train, test = (read(shared / "ml-100k-folds" / f"u1.{part}").frame for part in ("base", "test"))
    rmse, _ = figures(AutoRec(), as_listed(train), test)
    assert rmse < 0.92  # Surprise's best, KNNBaseline, has .93
