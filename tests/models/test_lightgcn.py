"""LightGCN against He et al. 2020, eq. 7 and 8, with a dense matrix of the whole graph."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from recli.model import Run, configure
from recli.models import catalog
from recli.training.graph import Graph, Smoothed, _sparse
from tests.checks import checkerboard, tiny, withheld_first

CPU = torch.device("cpu")


def dense(taken: np.ndarray, layers: int) -> np.ndarray:
    """The mean of the powers 0 … layers of D^-1/2 A D^-1/2; a row of nothing stays so."""
    users, items = taken.shape
    graph = np.block([[np.zeros((users, users)), taken], [taken.T, np.zeros((items, items))]])
    root = np.sqrt(np.maximum(graph.sum(1), 1))
    graph = graph / root[:, None] / root
    return sum(np.linalg.matrix_power(graph, layer) for layer in range(layers + 1)) / (layers + 1)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_rows_and_their_gradients_are_the_dense_product(layers: int) -> None:
    rng = np.random.default_rng(3)
    taken = (rng.random((6, 8)) < 0.4).astype(np.float32)
    taken[2] = 0
    rows = torch.from_numpy(rng.standard_normal((14, 5)).astype(np.float32))
    graph = Graph.of(csr_matrix(taken), CPU)
    expected = dense(taken, layers) @ rows.numpy()
    np.testing.assert_allclose(torch.cat(graph.smooth(rows[:6], rows[6:], layers)), expected, rtol=1e-5, atol=1e-6)
    on_gpu = Graph(to_users=_sparse(graph.to_users, CPU), to_items=_sparse(graph.to_items, CPU))
    np.testing.assert_allclose(torch.cat(on_gpu.smooth(rows[:6], rows[6:], layers)), expected, rtol=1e-5, atol=1e-6)
    user, item = rows[:6].clone().requires_grad_(), rows[6:].clone().requires_grad_()
    weight = torch.from_numpy(rng.standard_normal((14, 5)).astype(np.float32))
    (torch.cat(Smoothed.apply(user, item, graph, layers)) * weight).sum().backward()
    gradient = dense(taken, layers).T @ weight.numpy()
    np.testing.assert_allclose(torch.cat([user.grad, item.grad]), gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["lightgcn", "bpr-torch"])
def test_the_board_is_understood(name: str) -> None:
    chosen = catalog.resolve(name)
    model = configure(chosen.cls, {**chosen.preset, "learning_rate": 0.01, "epochs": 100, "train_batch_size": 512})
    assert withheld_first(model.fit(checkerboard(), Run())) == 1.0


def test_negatives_that_are_many_hard_and_popular_are_learned_from_too() -> None:
    how = {"train_neg_sample_num": 3, "neg_sampling": "popularity", "neg_dynamic": True, "epochs": 20}
    scores = configure(catalog.resolve("lightgcn").cls, how).fit(tiny(), Run()).score(tiny().queries())
    taken = tiny().matrix.toarray() > 0
    assert scores[taken].mean() > scores[~taken].mean()


def test_squares_of_the_lengths_pull_a_row_by_itself() -> None:
    """One step of all examples: half the square of a row's length has the row for its gradient, once an example."""
    data, rate, reg = tiny(), 0.5, 3.0
    how = {"n_layers": 0, "learner": "sgd", "epochs": 1, "train_batch_size": 10**6, "require_pow": True}

    def users(**more: float) -> np.ndarray:
        fitted = configure(catalog.resolve("lightgcn").cls, {**how, "learning_rate": rate, **more}).fit(data, Run())
        return fitted.user.astype(float)

    start, without, pulled = users(learning_rate=1e-12), users(reg_weight=0.0), users(reg_weight=reg)
    examples = np.diff(data.matrix.indptr)[:, None]
    np.testing.assert_allclose(without - pulled, rate * reg * examples * start / examples.sum(), rtol=1e-4, atol=1e-6)
