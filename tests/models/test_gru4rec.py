"""GRU4Rec against Hidasi et al. 2016 in dense numpy, and its losses in parallel sessions."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from recli.interactions import Interactions, Queries
from recli.model import Run
from recli.models.sequence import gru4rec
from recli.training import nextitem
from recli.training.networks import Reader, weights_of
from recli.training.windows import Sequences
from tests.checks import cycle, model, next_first

META = {"items": 6, "embedding_size": 3, "hidden_size": 5, "num_layers": 2, "dropout_prob": 0.3}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_a_score_is_the_state_times_the_item() -> None:
    torch.manual_seed(2)
    w = weights_of(gru4rec.build(**META))
    scorer = Reader(module=gru4rec.__name__, meta=json.dumps(META), weights=w, max_seq_length=3, n_items=6)
    queries = Queries(user=np.array([-1], np.int32), indptr=np.array([0, 4]), item=np.array([4, 1, 5, 1], np.int32))
    below, state = [np.zeros(5), np.zeros(5)], np.zeros(5)
    for item in (1, 5, 1):
        x = w["item.weight"][item]
        for layer, h in enumerate(below):
            read, keep = w[f"units.{layer}.read"] @ x, w[f"units.{layer}.keep"] @ h
            reset, update = sigmoid(read[:5] + keep[:5]), sigmoid(read[5:10] + keep[5:10])
            new = np.tanh(read[10:] + reset * keep[10:])
            below[layer] = x = (1 - update) * new + update * h
        state = x
    expected = (w["dense.weight"] @ state + w["dense.bias"]) @ w["item.weight"].T
    np.testing.assert_allclose(scorer.score(queries)[0], expected, rtol=1e-4, atol=1e-5)


def test_the_negatives_of_a_session_are_what_the_others_took_at_the_same_step() -> None:
    torch.manual_seed(2)
    rows, items, bias = torch.randn(5, 4), torch.randn(9, 4), torch.randn(9)
    indptr, item = np.array([0, 4, 7]), np.array([0, 1, 2, 3, 5, 6, 2], np.int32)
    sequences = Sequences.from_arrays(indptr, item, np.arange(2, dtype=np.int32), torch.device("cpu"))
    window = sequences._window(torch.tensor([0, 1]), torch.tensor([0, 4]), torch.tensor([3, 2]), following=True)
    scores = rows @ items.T + bias
    found = nextitem._others(rows, window, items, bias)
    no = -torch.inf  # their own, the same item, and where a session has ended
    expected = [[no, scores[0, 6]], [no, no], [no, no], [scores[3, 1], no], [no, no]]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize("params", [{}, {"loss_type": "TOP1-max"}, {"train_neg_sample_num": 0}])
def test_the_cycle_is_understood(params: dict[str, Any]) -> None:
    how = {"train_neg_sample_num": 10, "epochs": 40, "learning_rate": 0.01, "train_batch_size": 64}
    assert next_first(model("gru4rec-max", **{**how, **params}).fit(cycle(), Run())) > 0.9


def test_a_window_alone_in_its_batch_has_no_loss_to_give() -> None:
    how = {"train_neg_sample_num": 0, "epochs": 2, "train_batch_size": 1}
    assert np.isfinite(model("gru4rec-max", **how).fit(cycle(), Run()).score(cycle().queries())).all()


@pytest.mark.parametrize("name", ["gru4rec", "fpmc"])
def test_whoever_took_every_item_is_told_from_nothing(name: str) -> None:
    rows = [(user, item, n) for user in ("all", "too") for n, item in enumerate("abc")] + [
        ("some", "a", 0),
        ("some", "b", 1),
    ]
    for events in (rows, rows[:6]):
        data = Interactions.of(pl.DataFrame(events, schema=["user_id", "item_id", "timestamp"], orient="row"))
        scorer = model(name, loss_type="BPR", epochs=3, train_batch_size=2).fit(data, Run())
        assert np.isfinite(scorer.score(data.queries())).all()
