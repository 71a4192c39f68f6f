"""SASRec against Kang & McAuley 2018, §III, in dense numpy; what it learns, and what its losses are."""

import json
from math import erf
from typing import Any

import numpy as np
import pytest
import torch

from recli.errors import Exit, RecliError
from recli.interactions import Queries
from recli.model import Run, configure
from recli.models.sequence import sasrec
from recli.training.networks import Reader, weights_of
from tests.checks import cycle, model, next_first, tiny

META = {
    "items": 6, "places": 4, "hidden_size": 4, "inner_size": 5, "n_layers": 2, "n_heads": 2,
    "hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.5, "hidden_act": "gelu", "layer_norm_eps": 1e-6,
    "initializer_range": 1.0,
}  # fmt: skip


def norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6)


def read(
    w: dict[str, np.ndarray], history: list[int], prenorm: bool = False, scaled: bool = False, from_end: bool = False
) -> np.ndarray:
    """The state after the last event."""
    place = w["place.weight"][-len(history) :] if from_end else w["place.weight"][: len(history)]
    x = w["item.weight"][history] * (np.sqrt(META["hidden_size"]) if scaled else 1) + place
    x = x if prenorm else norm(x)
    for layer in ("layers.0", "layers.1"):

        def linear(x: np.ndarray, name: str, layer: str = layer) -> np.ndarray:
            return x @ w[f"{layer}.{name}.weight"].T + w[f"{layer}.{name}.bias"]

        q, k, v = np.split(linear(norm(x) if prenorm else x, "qkv"), 3, 1)
        heads = []
        for head in (slice(0, 2), slice(2, 4)):
            scores = np.where(np.tri(len(x)) > 0, q[:, head] @ k[:, head].T / np.sqrt(2), -np.inf)
            shares = np.exp(scores - scores.max(1, keepdims=True))
            heads.append(shares / shares.sum(1, keepdims=True) @ v[:, head])
        x = x + linear(np.concatenate(heads, 1), "out")
        x = x if prenorm else norm(x)
        inner = linear(norm(x) if prenorm else x, "up")
        x = x + linear(inner * (1 + np.vectorize(erf)(inner / np.sqrt(2))) / 2, "down")
        x = x if prenorm else norm(x)
    return (norm(x) if prenorm else x)[-1]


@pytest.mark.parametrize("ways", [[], ["prenorm"], ["prenorm", "scaled"], ["from_end"]])
def test_a_score_is_the_state_times_the_item(ways: list[str]) -> None:
    torch.manual_seed(2)
    chosen: dict[str, Any] = {"prenorm": False} | dict.fromkeys(ways, True)
    weights = weights_of(sasrec.build(**META, **chosen))
    meta = json.dumps({**META, **chosen})
    scorer = Reader(module=sasrec.__name__, meta=meta, weights=weights, max_seq_length=4, n_items=6)
    queries = Queries(
        user=np.array([-1, 3, 0], np.int32),
        indptr=np.array([0, 6, 6, 8]),
        item=np.array([5, 0, 1, 5, 2, 4, 3, 3], np.int32),
    )
    found = scorer.score(queries)
    for row, history in ((0, [1, 5, 2, 4]), (2, [3, 3])):  # of the first only the last four
        expected = read(weights, history, **chosen) @ weights["item.weight"].T
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-4)
    assert np.isneginf(found[1]).all()


def test_with_dropout_nothing_of_later_events_reaches_an_earlier_state() -> None:
    torch.manual_seed(2)
    network = sasrec.build(**META, prenorm=False).train()
    item = torch.randint(META["items"], (3, 4))
    other = torch.cat([item[:, :2], (item[:, 2:] + 1) % META["items"]], 1)
    found = []
    for histories in (item, other):
        torch.manual_seed(3)
        found.append(network.read(histories, None))
    assert torch.equal(found[0][:, :2], found[1][:, :2])
    assert not torch.equal(*found)


@pytest.mark.parametrize(("name", "params"), [
    ("sasrec", {}), ("sasrec", {"prenorm": True}), ("sasrec", {"from_end": True}), ("sasrec-bce", {}),
    ("gsasrec", {"train_neg_sample_num": 20}),
    ("sasrec", {"loss_type": "sampled", "train_neg_sample_num": 20, "neg_sampling": "popularity"}),
    ("sasrec", {"loss_type": "BPR", "train_neg_sample_num": 5}),
])  # fmt: skip
def test_the_cycle_is_understood_whatever_the_loss(name: str, params: dict[str, Any]) -> None:
    how = {"epochs": 40, "learning_rate": 0.01, "train_batch_size": 64, "hidden_size": 32, "inner_size": 32}
    how |= {"n_layers": 1, "hidden_dropout_prob": 0.1, "attn_dropout_prob": 0.1}
    # Negatives that the user never took say nothing of the items just before and after.
    least = 0.25 if params.get("loss_type", model(name).loss_type) in ("BCE", "BPR") else 0.9
    assert next_first(model(name, **how, **params).fit(cycle(), Run())) > least


def test_heads_that_do_not_divide_the_row_are_refused() -> None:
    with pytest.raises(RecliError, match="n_heads=3 cannot share hidden_size=64") as caught:
        configure(sasrec.SASRec, {"n_heads": 3}).fit(tiny(), Run())
    assert caught.value.code == Exit.USAGE
