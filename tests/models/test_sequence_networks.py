"""bert4rec, narm, caser, srgnn and fpmc against their papers in numpy, one history at a time."""

import json
from collections.abc import Callable
from itertools import pairwise
from math import erf
from typing import Any

import numpy as np
import pytest
import torch

from recli.errors import Exit, RecliError
from recli.interactions import Queries
from recli.model import Run
from recli.models.sequence import bert4rec, caser, fpmc, narm, srgnn
from recli.training.networks import Reader, weights_of
from recli.training.windows import Sequences, last
from tests.checks import model, tiny

Weights = dict[str, np.ndarray]
HISTORY = [2, 5, 2, 4, 1]  # of which the last four are read
USER = 1


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2


def norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def linear(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)


def of_fpmc(w: Weights, history: list[int]) -> np.ndarray:
    return w["for_user.weight"] @ w["user.weight"][USER] + w["after.weight"] @ w["last.weight"][history[-1]]


def of_narm(w: Weights, history: list[int]) -> np.ndarray:
    h, states = np.zeros(5), []
    for item in history:
        read, keep = w["units.0.read"] @ w["item.weight"][item], w["units.0.keep"] @ h
        reset, update = sigmoid(read[:5] + keep[:5]), sigmoid(read[5:10] + keep[5:10])
        h = (1 - update) * np.tanh(read[10:] + reset * keep[10:]) + update * h
        states.append(h)
    shares = [sigmoid(linear(w, "now", h) + linear(w, "before", one)) @ w["share.weight"][0] for one in states]
    local = sum(share * state for share, state in zip(shares, states, strict=True))
    return w["item.weight"] @ linear(w, "decoder", np.concatenate([local, h]))


def of_caser(w: Weights, history: list[int]) -> np.ndarray:
    image = np.zeros((4, 3))
    image[4 - len(history) :] = w["item.weight"][history]
    down = np.stack([w["down.weight"][f, 0] @ image + w["down.bias"][f] for f in range(2)])  # (filters, width)
    greatest = []
    for height in range(1, 5):
        filters, bias = w[f"across.{height - 1}.weight"], w[f"across.{height - 1}.bias"]
        for f in range(2):
            at = [(filters[f].T * image[start : start + height]).sum() + bias[f] for start in range(5 - height)]
            greatest.append(max(relu(np.array(at))))
    x = relu(linear(w, "both", np.concatenate([down.T.ravel(), greatest])))
    return w["item.weight"] @ relu(linear(w, "beside", np.concatenate([x, w["user.weight"][USER]])))


def of_srgnn(w: Weights, history: list[int]) -> np.ndarray:
    nodes = list(dict.fromkeys(history))
    edges = np.zeros((len(nodes), len(nodes)))
    for one, other in pairwise(history):
        edges[nodes.index(one), nodes.index(other)] = 1
    out = edges / np.maximum(edges.sum(1, keepdims=True), 1)
    into = edges.T / np.maximum(edges.sum(0), 1)[:, None]
    x = w["item.weight"][nodes]
    for _ in range(2):
        messages = np.concatenate([into @ linear(w, "into", x), out @ linear(w, "out", x)], 1)
        a = messages @ w["gates.weight_ih"].T + w["gates.bias_ih"]
        b = x @ w["gates.weight_hh"].T + w["gates.bias_hh"]
        reset, update = sigmoid(a[:, :3] + b[:, :3]), sigmoid(a[:, 3:6] + b[:, 3:6])
        x = (1 - update) * np.tanh(a[:, 6:] + reset * b[:, 6:]) + update * x
    events = x[[nodes.index(item) for item in history]]
    shares = sigmoid(linear(w, "last", events[-1]) + linear(w, "each", events)) @ w["share.weight"][0]
    return w["item.weight"] @ linear(w, "both", np.concatenate([events[-1], shares @ events]))


def of_bert4rec(w: Weights, history: list[int]) -> np.ndarray:
    rest = {name.removeprefix("encoder."): array for name, array in w.items()}
    x = norm(rest["item.weight"][[*history, 6]] + rest["place.weight"][: len(history) + 1])
    q, k, v = np.split(linear(rest, "layers.0.qkv", x), 3, 1)
    heads = []
    for head in (slice(0, 2), slice(2, 4)):
        scores = np.exp(q[:, head] @ k[:, head].T / np.sqrt(2))
        heads.append(scores / scores.sum(1, keepdims=True) @ v[:, head])
    x = norm(x + linear(rest, "layers.0.out", np.concatenate(heads, 1)))
    x = norm(x + linear(rest, "layers.0.down", gelu(linear(rest, "layers.0.up", x))))
    return rest["item.weight"][:6] @ norm(gelu(linear(w, "output", x[-1]))) + w["bias"]


BERT = {
    "items": 6, "places": 5, "hidden_size": 4, "inner_size": 5, "n_layers": 1, "n_heads": 2, "hidden_dropout_prob": 0.2,
    "attn_dropout_prob": 0.2, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "initializer_range": 0.5,
    "mask_ratio": 0.2, "ft_ratio": 0.5,
}  # fmt: skip
ROWS = {"users": 3, "items": 6}
CASES: list[tuple[Any, dict[str, Any], Callable[[Weights, list[int]], np.ndarray]]] = [
    (fpmc, {**ROWS, "embedding_size": 3}, of_fpmc),
    (narm, {"items": 6, "embedding_size": 3, "hidden_size": 5, "n_layers": 1, "dropout_probs": [0.25, 0.5]}, of_narm),
    (caser, {**ROWS, "places": 4, "embedding_size": 3, "nh": 2, "nv": 2, "dropout_prob": 0, "reg_weight": 0}, of_caser),
    (srgnn, {"items": 6, "embedding_size": 3, "step": 2}, of_srgnn),
    (bert4rec, BERT, of_bert4rec),
]


@pytest.mark.parametrize(("module", "meta", "expected"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_score_is_what_the_paper_says(
    module: Any, meta: dict[str, Any], expected: Callable[[Weights, list[int]], np.ndarray]
) -> None:
    torch.manual_seed(2)
    w = {name: array.copy() for name, array in weights_of(module.build(**meta)).items()}
    if "bias" in w:
        w["bias"] += np.arange(6, dtype=np.float32)
    reader = Reader(module=module.__name__, meta=json.dumps(meta), weights=w, max_seq_length=4, n_items=6)
    histories = [HISTORY, [], [3, 3], [0]]
    lengths = [len(history) for history in histories]
    queries = Queries(
        user=np.full(4, USER, np.int32),
        indptr=np.append(0, np.cumsum(lengths)),
        item=np.array([item for history in histories for item in history], np.int32),
    )
    found = reader.score(queries)
    for row in (0, 2, 3):
        np.testing.assert_allclose(found[row], expected(w, histories[row][-4:]), rtol=1e-4, atol=1e-5)
    assert np.isneginf(found[1]).all()


@pytest.mark.parametrize(("module", "meta"), [case[:2] for case in CASES if hasattr(case[0], "states")])
def test_states_on_the_way_are_those_of_histories_that_end_there(module: Any, meta: dict[str, Any]) -> None:
    torch.manual_seed(2)
    network = module.build(**meta).eval()
    item = np.array([2, 5, 2, 4], np.int32)

    def window(length: int) -> Any:
        user = np.array([USER], np.int32)
        histories = Sequences.from_arrays(np.array([0, length]), item[:length], user, torch.device("cpu"))
        return histories.ends(torch.tensor([0]), 4)

    with torch.no_grad():
        whole = module.states(network, window(4))
        for length in range(1, 5):
            end = last(module, network, window(length))
            torch.testing.assert_close(whole[:, length - 1], end, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("items", [1, 3, 8, 1000])
def test_srgnn_reads_a_window_at_once_as_it_reads_each_session(items: int) -> None:
    torch.manual_seed(2)
    network = srgnn.build(items, 6, 1)
    item, event = torch.randint(0, items, (7, 12)), torch.arange(7 * 12)
    found = srgnn.growing(network, item)
    expected = srgnn.read(network, item[event // 12], event % 12 + 1).view_as(found)
    weight = torch.randn_like(found)
    for made, other in zip(
        *([one, *torch.autograd.grad((one * weight).sum(), network.parameters())] for one in (found, expected)),
        strict=True,
    ):
        torch.testing.assert_close(made, other, rtol=1e-4, atol=1e-4)


def test_what_bert4rec_hides_is_what_it_is_asked_for() -> None:
    """Of every window the targets are hidden items, or the last one alone, and what is hidden is not read."""
    torch.manual_seed(2)
    network = bert4rec.build(**{**BERT, "items": 900, "places": 30}).train()
    item = np.arange(60, dtype=np.int32)
    sequences = Sequences.from_arrays(np.array([0, 25, 60]), item, np.arange(2, dtype=np.int32), torch.device("cpu"))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    network["encoder"]["item"].register_forward_hook(lambda layer, given, made: seen.append((given[0], made)))
    asked: list[list[int]] = []
    for _ in range(20):
        ((window,),) = sequences.epoch(29, 100)  # the longer one is cut in two
        bert4rec.loss(network, window, lambda rows, hidden, *output: asked.append(hidden.target.tolist()) or rows.sum())
        items = seen[-1][0]
        read, hidden = items[items < 900], int((items == 900).sum())
        assert hidden == len(asked[-1])
        assert not set(asked[-1]) & set(read[: window.item.numel()].tolist()) - {0, 25, *window.item[:, 0].tolist()}
    assert {24, 59} <= {item for one in asked for item in one}


@pytest.mark.parametrize(("name", "params", "message"), [
    ("bert4rec", {"n_heads": 3}, "n_heads=3 cannot share hidden_size=64"),
    ("bert4rec", {"loss_type": "BPR"}, "no loss_type=BPR"),
    ("narm", {"dropout_probs": [0.1]}, "dropout_probs takes two shares below 1"),
])  # fmt: skip
def test_what_cannot_be_is_refused(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(RecliError, match=message) as caught:
        model(name, **params).fit(tiny(), Run())
    assert caught.value.code == Exit.USAGE
