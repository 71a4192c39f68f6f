"""The models of fields against their formulas, written out in numpy from the arrays of the model."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn import functional as F

from recli.coding import Coding
from recli.errors import Exit, RecliError
from recli.fields import ROLES
from recli.interactions import Interactions, Queries
from recli.kernels.fields import by_rows
from recli.model import Run
from recli.training.fields import Table, bi_interaction
from tests.checks import model

Array = np.ndarray[Any, Any]


def occasions() -> Interactions:
    """A log of 300 events with tokens, a number and a sequence, in which what is liked depends on pairs of columns."""
    rng = np.random.default_rng(4)
    user, item = rng.integers(12, size=300), rng.integers(9, size=300)
    hour = rng.integers(4, size=300)
    liked = ((user + item) % 3 == 0) ^ (hour == 2)
    events = pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "item_id": [f"i{i}" for i in item],
            "hour": [f"h{h}" for h in hour],
            "price": rng.random(300),
            "timestamp": np.arange(300.0),
            "rating": 2.0 + liked * 2 + rng.random(300),
            "label": liked.astype(float),
        }
    )
    tables = {
        "user": pl.DataFrame({"user_id": [f"u{u}" for u in range(14)], "plan": [f"p{u % 3}" for u in range(14)]}),
        "item": pl.DataFrame(
            {
                "item_id": [f"i{i}" for i in range(9)],
                "words": [[f"w{i % 4}", f"w{4 + i % 3}"][: 1 + i % 2] for i in range(9)],
            }
        ),
    }
    return Interactions.of(events, tables, Coding(numerical=("price",)))


def asked(data: Interactions) -> tuple[Queries, Array]:
    """The first 20 events as pairs, with what stood beside them and the clicks before them."""
    user = np.repeat(np.arange(data.n_users, dtype=np.int32), np.diff(data.indptr))[:20]
    assert data.context is not None
    indptr = np.arange(21) * 3
    history = np.arange(60, dtype=np.int32) % data.n_items
    return Queries(user=user, indptr=indptr, item=history, context=data.context[:20]), data.item[:20]


def rows_of(scorer: Any, queries: Queries, items: Array) -> Array:
    """The fields' rows (n, fields, width), looked up one by one."""
    weight = scorer.weights["table.weight"].astype(np.float64)
    parts = scorer.parts(queries, items)
    found = []
    for role, part in zip(ROLES, parts, strict=True):
        values = np.ones(part.codes.shape) if part.values is None else part.values
        at = 0
        for one in scorer.encoder.of(role):
            slots = range(at, at + one.slots)
            found.append(sum(values[:, s, None] * weight[part.codes[:, s]] for s in slots))
            at += one.slots
    return np.stack(found, 1)


def dense(w: Any, name: str, x: Array) -> Array:
    """A layer."""
    made = x @ w[f"{name}.weight"].astype(np.float64).T
    return made + w[f"{name}.bias"] if f"{name}.bias" in w else made


def norm(w: Any, name: str, x: Array) -> Array:
    scaled = (x - w[f"{name}.running_mean"]) / np.sqrt(w[f"{name}.running_var"] + 1e-5)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"] if f"{name}.weight" in w else scaled


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def perceptron(w: Any, name: str, x: Array) -> Array:
    """Layers, norms where there are such, and the last number where there is one."""
    depth = 0
    while f"{name}.layers.{depth}.weight" in w:
        x = dense(w, f"{name}.layers.{depth}", x)
        if f"{name}.norms.{depth}.weight" in w:
            x = norm(w, f"{name}.norms.{depth}", x)
        if f"{name}.dice.{depth}.alpha" in w:
            p = sigmoid(norm(w, f"{name}.dice.{depth}.norm", x))
            x = p * x + (1 - p) * w[f"{name}.dice.{depth}.alpha"] * x
        else:
            x = relu(x)
        depth += 1
    return dense(w, f"{name}.out", x)[:, 0] if f"{name}.out.weight" in w else x


def first_order(w: Any, rows: Array) -> Array:
    return rows[..., -1].sum(1) + w["table.bias"]


def products(rows: Array) -> Array:
    """The sum over i < j of the products of the rows i and j, number by number."""
    fields = range(rows.shape[1])
    return sum(rows[:, i] * rows[:, j] for i in fields for j in fields if i < j)


def lr(w: Any, rows: Array, meta: Any, past: Any) -> Array:
    return first_order(w, rows)


def fm(w: Any, rows: Array, meta: Any, past: Any) -> Array:
    return first_order(w, rows) + products(rows[..., :-1]).sum(1)


def deepfm(w: Any, rows: Array, meta: Any, past: Any) -> Array:
    return fm(w, rows, meta, past) + perceptron(w, "layers", rows[..., :-1].reshape(len(rows), -1))


def widedeep(w: Any, rows: Array, meta: Any, past: Any) -> Array:
    return first_order(w, rows) + perceptron(w, "layers", rows[..., :-1].reshape(len(rows), -1))


def nfm(w: Any, rows: Array, meta: Any, past: Any) -> Array:
    pairs = products(rows[..., :-1])
    return first_order(w, rows) + perceptron(w, "layers", norm(w, "norm", pairs) if meta["batch_norm"] else pairs)


def dcnv2(w: Any, rows: Array, meta: Any, past: Any) -> Array:
    start = x = rows.reshape(len(rows), -1)
    for depth in range(meta["cross_layer_num"]):
        if not meta["mixed"]:
            x = start * dense(w, f"cross.{depth}", x) + x
            continue
        shares, total = softmax(dense(w, f"gates.{depth}", x)), x
        for expert in range(meta["expert_num"]):
            at = depth * meta["expert_num"] + expert
            inner = np.tanh(dense(w, f"within.{at}", np.tanh(dense(w, f"into.{at}", x))))
            total = total + shares[:, [expert]] * start * dense(w, f"out.{at}", inner)
        x = total
    if meta["structure"] == "stacked":
        return dense(w, "last", perceptron(w, "layers", x))[:, 0]
    return dense(w, "last", np.concatenate([x, perceptron(w, "layers", start)], 1))[:, 0]


def xdeepfm(w: Any, rows: Array, meta: Any, past: Any) -> Array:
    start = x = rows[..., :-1]
    told, sizes = [], meta["cin_layer_size"]
    for depth in range(len(sizes)):
        matrix = w[f"cin.{depth}.weight"].reshape(sizes[depth], x.shape[1], start.shape[1])
        made = relu(np.einsum("hij,nid,njd->nhd", matrix, x, start) + w[f"cin.{depth}.bias"][:, None])
        half = sizes[depth] // 2
        whole = meta["direct"] or depth == len(sizes) - 1
        x, own = (made, made) if whole else (made[:, :half], made[:, half:])
        told.append(own.sum(2))
    return widedeep(w, rows, meta, past) + dense(w, "last", np.concatenate(told, 1))[:, 0]


def autoint(w: Any, rows: Array, meta: Any, past: Any) -> Array:
    x, size, heads = rows[..., :-1], meta["attention_size"], meta["num_heads"]
    for depth in range(meta["n_layers"]):
        query, key, value, own = (
            x @ w[f"attention.{depth}.weight"][part * size : (part + 1) * size].T.astype(np.float64)
            for part in range(4)
        )
        made = np.empty_like(own)
        for head in range(heads):
            of = slice(head * size // heads, (head + 1) * size // heads)
            scale = (size / heads) ** -0.5 if meta["scaled"] else 1
            shares = softmax(scale * np.einsum("nid,njd->nij", query[..., of], key[..., of]))
            made[..., of] = np.einsum("nij,njd->nid", shares, value[..., of])
        x = made + own
        if meta["layer_norm"]:
            x = (x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-5)
            x = x * w[f"norms.{depth}.weight"] + w[f"norms.{depth}.bias"]
        x = relu(x)
    return widedeep(w, rows, meta, past) + dense(w, "last", x.reshape(len(x), -1))[:, 0]


def din(w: Any, rows: Array, meta: Any, past: Any) -> Array:
    first, behind = meta["item"]
    item = rows[:, first:behind].reshape(len(rows), -1)
    interest = np.zeros_like(item)
    for row in past:  # (n, the item's fields, width)
        before = row.reshape(len(row), -1)
        weight = perceptron(w, "weigh", np.concatenate([before, item, before - item, before * item], 1))
        interest += weight[:, None] * before
    return perceptron(w, "layers", np.concatenate([rows.reshape(len(rows), -1), interest, interest * item], 1))


CASES: list[tuple[str, dict[str, Any], Callable[[Any, Array, Any, Any], Array]]] = [
    ("lr", {}, lr),
    ("fm", {"embedding_size": 4}, fm),
    ("deepfm", {"mlp_hidden_size": [6, 5]}, deepfm),
    ("deepfm", {"mlp_hidden_size": [6, 5], "batch_norm": True}, deepfm),
    ("widedeep", {}, widedeep),
    ("nfm", {"mlp_hidden_size": [6]}, nfm),
    ("nfm", {"mlp_hidden_size": [6], "batch_norm": True}, nfm),
    ("dcnv2", {"embedding_size": 3, "mlp_hidden_size": [7], "cross_layer_num": 2, "reg_weight": 0.01}, dcnv2),
    ("dcnv2", {"embedding_size": 3, "mlp_hidden_size": [7], "structure": "parallel"}, dcnv2),
    ("dcnv2", {"embedding_size": 3, "mlp_hidden_size": [7], "mixed": True, "expert_num": 2, "low_rank": 3}, dcnv2),
    ("xdeepfm", {"embedding_size": 3, "mlp_hidden_size": [7], "cin_layer_size": [6, 4, 5]}, xdeepfm),
    ("xdeepfm", {"embedding_size": 3, "mlp_hidden_size": [7], "cin_layer_size": [6, 5], "direct": True}, xdeepfm),
    ("autoint", {"mlp_hidden_size": [7], "n_layers": 2}, autoint),
    ("autoint", {"mlp_hidden_size": [7], "n_layers": 2, "scaled": True, "layer_norm": True}, autoint),
    ("din", {"embedding_size": 3, "mlp_hidden_size": [7], "att_hidden_size": [5]}, din),
]


@pytest.mark.parametrize(("name", "params", "formula"), CASES)
def test_a_score_is_the_formula(name: str, params: dict[str, Any], formula: Any) -> None:
    data = occasions()
    scorer: Any = model(name, **params, epochs=15, learning_rate=0.02, train_batch_size=64).fit(data, Run(seed=1))
    queries, items = asked(data)
    past = []
    if scorer.history:
        first, behind = json.loads(scorer.meta)["item"]
        before = queries.item.reshape(20, 3)
        past = [rows_of(scorer, queries, before[:, at])[:, first:behind] for at in range(3)]
    expected = formula(scorer.weights, rows_of(scorer, queries, items), json.loads(scorer.meta), past)
    np.testing.assert_allclose(scorer.score_pairs(queries, items), sigmoid(expected), rtol=2e-4, atol=1e-6)
    assert np.ptp(expected) > 0.05  # it has learned something to be wrong about


def test_a_rating_is_told_from_its_mean_on() -> None:
    data = occasions()
    scorer: Any = model("fm", target="rating", epochs=60, learning_rate=0.02, train_batch_size=64).fit(data, Run())
    queries, items = asked(data)
    rows = rows_of(scorer, queries, items)
    assert data.rating is not None
    expected = fm(scorer.weights, rows, None, None) + data.rating.mean(dtype=np.float64)
    np.testing.assert_allclose(scorer.score_pairs(queries, items), expected, rtol=1e-4)
    user = np.repeat(np.arange(data.n_users, dtype=np.int32), np.diff(data.indptr))
    queries = Queries(user=user, indptr=np.zeros(301, np.int64), item=np.empty(0, np.int32), context=data.context)
    error = scorer.score_pairs(queries, data.item) - data.rating
    assert np.sqrt((error**2).mean()) < 0.8 * data.rating.std()


def test_a_step_is_that_of_the_loss() -> None:
    """All events in one batch by sgd: logistic regression's gradient is the mean of (probability - label) a value."""
    data = occasions()
    how = {"learner": "sgd", "learning_rate": 0.5, "train_batch_size": 300, "embedding_reg_weight": 0.1}
    before, after = (model("lr", **how, epochs=n).fit(data, Run(seed=1)) for n in (1, 2))
    user = np.repeat(np.arange(data.n_users, dtype=np.int32), np.diff(data.indptr))
    queries = Queries(user=user, indptr=np.zeros(301, np.int64), item=np.empty(0, np.int32), context=data.context)
    weight = before.weights["table.weight"]
    slope = (before.score_pairs(queries, data.item) - data.label) / 300
    expected = weight - 0.5 * 0.1 * weight
    for part in before.parts(queries, data.item):
        values = np.ones(part.codes.shape, np.float32) if part.values is None else part.values
        np.subtract.at(expected[:, 0], part.codes, 0.5 * slope[:, None] * values)
    np.testing.assert_allclose(after.weights["table.weight"], expected, rtol=1e-4, atol=1e-6)
    bias = before.weights["table.bias"] - 0.5 * slope.sum()
    np.testing.assert_allclose(after.weights["table.bias"], bias, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("counted", [False, True])
def test_the_table_is_torch_s_own(counted: bool) -> None:
    table = Table([5, 1, 7], [1, 1, 3], 4)
    codes = torch.tensor([[1, 5, 6, 8, 12], [4, 5, 9, 9, 6], [0, 5, 7, 6, 6]], dtype=torch.int32)
    values = torch.rand(3, 5) if counted else None
    slope = torch.rand(3, 3, 5)
    rows, weights = table(codes, values)
    made = torch.cat([rows, weights[..., None]], 2)
    made.backward(slope)
    own = table.weight.detach().clone().requires_grad_()
    each = F.embedding(codes.long(), own) * (1 if values is None else values[..., None])
    expected = torch.stack([each[:, 0], each[:, 1], each[:, 2:].sum(1)], 1)
    expected.backward(slope)
    torch.testing.assert_close(made, expected)
    torch.testing.assert_close(table.weight.grad, own.grad)
    assert not table.weight[[0, 6]].any()
    assert table.weight[5].any()


def test_the_values_of_a_sequence_are_pooled() -> None:
    """Of a field of three slots: the mean of those that are there, their sum, or the greatest of each column."""
    codes = torch.tensor([[1, 5, 6, 8, 12], [4, 5, 9, 6, 6], [0, 5, 6, 6, 6]], dtype=torch.int32)
    values = torch.tensor([[1, -2.0, 1 / 3, 1 / 3, 1 / 3], [1, 0.5, 1, 0, 0], [1, 3.0, 0, 0, 0]])
    present = [codes[row, 2:][values[row, 2:] != 0].long() for row in range(3)]
    for pooling in ("mean", "sum", "max"):
        table = Table([5, 1, 7], [1, 1, 3], 4, first_order=False, pooling=pooling)
        with torch.no_grad():
            table.weight.normal_()
        (rows,) = table(codes, values)
        own = table.weight.detach().clone().requires_grad_()
        pooled = {"mean": lambda x: x.mean(0), "sum": lambda x: x.sum(0), "max": lambda x: x.amax(0)}[pooling]
        last = [pooled(own[codes]) if len(codes) else torch.zeros(4) for codes in present]
        expected = torch.stack([own[codes[:, 0].long()], values[:, 1:2] * own[5], torch.stack(last)], 1)
        torch.testing.assert_close(rows, expected)
        slope = torch.rand(3, 3, 4)
        rows.backward(slope)
        expected.backward(slope)
        torch.testing.assert_close(table.weight.grad, own.grad)


@pytest.mark.parametrize("fields", [1, 2, 7])
def test_bi_interaction_and_its_gradient_are_torch_s_own(fields: int) -> None:
    rows = torch.randn(50, fields, 6)[:, :, :5].requires_grad_()  # not contiguous
    slope = torch.randn(50, 5)
    made = bi_interaction(rows)
    made.backward(slope)
    own = rows.detach().double().requires_grad_()
    pairs = [own[:, i] * own[:, j] for i in range(fields) for j in range(i)]
    expected = sum(pairs) if pairs else 0 * own.sum(1)
    expected.backward(slope.double())
    torch.testing.assert_close(made, expected.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(rows.grad, own.grad.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5, 40), (33, 16), (100, 17)])
@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_columns_become_rows(shape: tuple[int, int], kind: Any) -> None:
    rows = np.random.default_rng(1).integers(0, 99, shape).astype(kind)
    made = by_rows(rows.T)
    np.testing.assert_array_equal(made, rows)
    assert made.flags.c_contiguous
    assert made.dtype == kind


def test_history_is_what_was_clicked_before() -> None:
    """User a clicked on x, did not on y, clicked on z, was shown x: z's history is x, the last event's x and z."""
    from recli.training.rows import Clicks

    events = pl.DataFrame(
        {
            "user_id": ["a", "a", "a", "a", "b"],
            "item_id": ["x", "y", "z", "x", "z"],
            "timestamp": [1.0, 2, 3, 4, 0],
            "label": [1.0, 0, 1, 0, 1],
        }
    )
    data = Interactions.of(events)
    clicks = Clicks.of(data, torch.device("cpu"))
    first = int(data.indptr[data.users.to_list().index("a")])
    found = {}
    for event in range(len(data)):
        items, there = clicks(torch.tensor([event]), 2)
        found[event] = [data.items[int(i)] for i in items[there]]
    assert [found[first + at] for at in range(4)] == [[], ["x"], ["x"], ["x", "z"]]
    assert not found[(first + 4) % 5]
    items, there = clicks(torch.tensor([first + 3]), 1)
    assert [data.items[int(i)] for i in items[there]] == ["z"]


def test_without_labels_negatives_are_drawn() -> None:
    data = occasions()
    scorer = model("fm", epochs=30, learning_rate=0.02, train_batch_size=64)
    from dataclasses import replace

    events = pl.DataFrame({"user_id": [f"{u}" for u in range(20)], "item_id": ["a"] * 20})
    alone = Interactions.of(events)
    with pytest.raises(RecliError, match="every user has taken every item") as caught:
        scorer.fit(alone, Run())
    assert caught.value.code == Exit.DATA
    with pytest.raises(RecliError, match="a label is neither 0 nor 1"):
        scorer.fit(replace(data, label=np.full(300, 2, np.float32)), Run())
    with pytest.raises(RecliError, match="the table has no rating"):
        model("fm", target="rating").fit(replace(data, rating=None), Run())


def test_trees_tell_what_they_were_shown() -> None:
    pytest.importorskip("lightgbm")
    data = occasions()
    scorer = model("lightgbm", min_data_in_leaf=3, lgb_num_boost_round=60).fit(data, Run())
    user = np.repeat(np.arange(data.n_users, dtype=np.int32), np.diff(data.indptr))
    queries = Queries(user=user, indptr=np.zeros(301, np.int64), item=np.empty(0, np.int32), context=data.context)
    told = scorer.score_pairs(queries, data.item)
    assert data.label is not None
    assert ((told > 0.5) == (data.label > 0)).mean() > 0.95
    assert "num_threads" not in scorer.text.tobytes().decode()
