"""RecBole's figures on RecBole's rows of MovieLens-100K: through the commands, and by RecBole's own arithmetic."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recli.artifact import load
from tests.conftest import ROOT, Runner

pytestmark = pytest.mark.shared

METRICS = ("recall@10", "mrr@10", "ndcg@10", "hit@10", "precision@10")
EASE = (0.2805, 0.5277, 0.3295, 0.8197, 0.2206)
# RecBole's ItemKNN by what numpy's `argpartition` leaves at the 100th place among equals: on a processor with AVX-512,
# where RecBole 1.2.1 itself was seen to print these figures, with AVX2, and with neither.
ITEMKNN = [
    [0.2469, 0.4623, 0.2833, 0.7847, 0.193],
    [0.2469, 0.463, 0.2835, 0.7847, 0.193],
    [0.247, 0.4623, 0.2834, 0.7847, 0.1931],
]
VECTORS = "X86_V3 X86_V4 AVX2 AVX512F AVX512_SKX"  # what numpy >= 2.0 calls these instructions


@pytest.fixture
def split(recli: Runner, shared: Path) -> str:
    return recli("split", shared / "ml-100k" / "ml-100k.inter", "--dialect", "recbole", "-q").stdout.strip()


def figures(recli: Runner, split: str, model: str, *parameters: str) -> list[float]:
    path = recli("train", split, "--model", model, *parameters, "-q").stdout.strip()
    metrics = json.loads(recli("evaluate", path, "--json", "-q").stdout)["metrics"]
    return [metrics[name]["value"] for name in METRICS]


def test_ease(recli: Runner, split: str) -> None:
    assert [round(value, 4) for value in figures(recli, split, "ease", "-p", "reg_weight=250")] == list(EASE)


def test_itemknn(recli: Runner, split: str, shared: Path, tmp_path: Path) -> None:
    """RecBole's figures to four digits, where numpy selects without vector instructions."""
    program = "import sys; from tests.models.test_recbole_figures import recbole; print(recbole(*sys.argv[1:]))"
    command = [sys.executable, "-W", "ignore", "-c", program, str(shared), str(tmp_path / split)]

    def recboles(without: str) -> list[float]:
        environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": without}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return list(json.loads(done.stdout))

    ours = [round(value, 4) for value in figures(recli, split, "itemknn", "-p", "k=100")]
    assert ours == recboles(VECTORS) == ITEMKNN[-1]
    assert recboles("") in ITEMKNN


def test_bpr_is_above_recboles_less_a_margin(recli: Runner, split: str) -> None:
    assert figures(recli, split, "bpr")[2] >= 0.2878


def test_the_order_of_the_models(recli: Runner, split: str) -> None:
    ndcg = {model: figures(recli, split, model)[2] for model in ("random", "pop", "als", "ease")}
    assert ndcg["random"] < ndcg["pop"] / 2 < ndcg["pop"] < ndcg["als"] < ndcg["ease"]


def test_weights_of_itemknn_by_recboles_arithmetic(recli: Runner, split: str, shared: Path, tmp_path: Path) -> None:
    """They are the same but for those equals."""
    items, parts = _parts(shared, tmp_path / split)
    weights = _recbole(parts["train"], 100)
    model = load(tmp_path / recli("train", split, "--model", "itemknn", "-q").stdout.strip())
    ours = _ours(model, items, len(items) + 1)
    similarity = _similarity(parts["train"])
    for item in range(1, len(items) + 1):
        least = np.sort(similarity[:, item])[::-1][99]
        certain = similarity[:, item] > least * (1 + 1e-5)
        np.testing.assert_allclose(ours[certain, item], weights[certain, item], rtol=1e-5)
        assert (ours[similarity[:, item] < least * (1 - 1e-5), item] == 0).all()


def recbole(shared: str, split: str) -> list[float]:
    """ItemKNN's figures in float32, RecBole's own order of items, and `argpartition` among equals."""
    _, parts = _parts(Path(shared), Path(split))
    return [round(value, 4) for value in _figures(parts, _recbole(parts["train"], 100))]


def _parts(shared: Path, split: Path) -> tuple[list[str], dict[str, csr_matrix]]:
    """The items in RecBole's order, and each part of the split."""
    artifact = load(split)
    lines = (shared / "ml-100k" / "ml-100k.inter").read_text().splitlines()[1:]
    users, items = (list(dict.fromkeys(line.split("\t")[column] for line in lines)) for column in (0, 1))
    return items, {part: _matrix(artifact.frame(part), users, items) for part in ("train", "valid", "test")}


def _matrix(frame: pl.DataFrame, users: list[str], items: list[str]) -> csr_matrix:
    """With a first row and column of padding, as RecBole has."""
    row = {name: code + 1 for code, name in enumerate(users)}
    column = {name: code + 1 for code, name in enumerate(items)}
    places = [row[u] for u in frame["user_id"]], [column[i] for i in frame["item_id"]]
    return csr_matrix((np.ones(frame.height, np.float32), places), shape=(len(users) + 1, len(items) + 1))


def _similarity(train: csr_matrix) -> NDArray[np.float32]:
    norm = np.sqrt(np.asarray(train.power(2).sum(axis=0)).ravel())
    together = (train.T @ train).toarray()
    np.fill_diagonal(together, 0)
    similarity: NDArray[np.float32] = np.multiply(together, 1 / (norm * norm[:, None] + np.float32(1e-6)))
    return similarity


def _recbole(train: csr_matrix, k: int) -> NDArray[np.float32]:
    weights = np.zeros((train.shape[1],) * 2, np.float32)
    for item, column in enumerate(_similarity(train).T):
        kept = (-column).argpartition(k - 1)[:k]
        weights[kept, item] = column[kept]
    return weights


def _ours(model: object, items: list[str], n: int) -> NDArray[np.float32]:
    from recli.pipeline.recommend import open_model

    _, ids, scorer = open_model(model)  # type: ignore[arg-type]
    place = np.array([items.index(name) + 1 for name in ids])
    dense = np.zeros((n, n), np.float32)
    dense[np.ix_(place, place)] = scorer.weights.toarray()  # type: ignore[attr-defined]
    return dense


def _figures(parts: dict[str, csr_matrix], weights: NDArray[np.float32]) -> list[float]:
    scores = np.asarray(parts["train"] @ weights)
    scores[:, 0] = -np.inf
    scores[(parts["train"] + parts["valid"]).nonzero()] = -np.inf
    lists = np.argsort(-scores[1:], axis=1, kind="stable")[:, :10]
    hits = np.take_along_axis(parts["test"].toarray()[1:], lists, axis=1) > 0
    relevant = np.asarray(parts["test"].sum(axis=1)).ravel()[1:].astype(int)
    discount = 1 / np.log2(np.arange(2, 12))
    ideal = discount.cumsum()[np.minimum(relevant, 10) - 1]
    found = hits.any(axis=1)
    return [
        float((hits.sum(axis=1) / relevant).mean()),
        float((found / (hits.argmax(axis=1) + 1)).mean()),
        float(((hits * discount).sum(axis=1) / ideal).mean()),
        float(found.mean()),
        float(hits.mean()),
    ]
