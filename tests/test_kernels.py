"""Kernels: the same bytes on any number of threads, and with a cold, a warm or no cache."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_matrix

from recli.kernels import als, bpr, fm, history, kernel, nearest, propagate, spread, threads, topk

ROOT = Path(__file__).resolve().parents[1]

RUN = """
import sys
import numpy as np
import polars as pl
from recli.interactions import Interactions
from recli.model import Run
from recli.models.factor.als import ALS
from recli.models.factor.bpr import BPR

rng = np.random.default_rng(0)
user, item = rng.integers(60, size=900).astype(str), rng.integers(70, size=900).astype(str)
data = Interactions.of(pl.DataFrame({"user_id": user, "item_id": item}))
for model in (ALS(embedding_size=8, epochs=3), BPR(embedding_size=8, epochs=3)):
    scorer = model.fit(data, Run(threads=2))
    sys.stdout.buffer.write(scorer.user.tobytes() + scorer.item.tobytes())
"""


def in_a_process(**environment: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", RUN], env={**os.environ, **environment}, capture_output=True, check=True, cwd=ROOT
    )
    assert done.stderr == b""
    return done.stdout


@pytest.mark.slow
def test_a_cold_and_a_warm_cache_give_the_same_bytes(tmp_path: Path) -> None:
    cold = in_a_process(RECLI_CACHE_DIR=str(tmp_path))
    files = sorted(path.name for path in tmp_path.rglob("*.code"))
    assert any(name.startswith("als._conjugate_gradient") for name in files)
    warm = in_a_process(RECLI_CACHE_DIR=str(tmp_path))
    assert warm == cold
    assert sorted(path.name for path in tmp_path.rglob("*.code")) == files, "the cache was not used"


def test_where_no_directory_is_writable_there_is_no_cache() -> None:
    namespace: dict[str, object] = {}
    exec("def add(x, y):\n    return x + y\n", namespace)  # a function without a file has nowhere to be cached
    assert kernel(namespace["add"])(2, 3) == 5  # type: ignore[type-var]


def random(rows: int, columns: int, density: float) -> csr_matrix:
    matrix = random_matrix(rows, columns, density, "csr", np.float32, np.random.default_rng(5))
    matrix.sort_indices()
    matrix.data[:] = 1
    return matrix


def outputs() -> list[bytes]:
    """What every kernel makes of the same input."""
    rng, x = np.random.default_rng(1), random(300, 200, 0.1)
    out: list[Any] = []
    theirs = rng.standard_normal((200, 8)).astype(np.float32)
    for steps in (3, None):
        ours = np.zeros((300, 8), np.float32)
        als.solve(2 * x, theirs, ours, reg_weight=1.0, steps=steps)
        out.append(ours)
    user, item = (rng.standard_normal((n, 8)).astype(np.float32) for n in x.shape)
    bounds, dealt = np.array([0, 100, 180, 300]), rng.permutation(200).astype(np.int32)
    wrong = bpr.epoch(x, bounds, user, item, None, dealt, candidates=1, seed=7, rate=0.1, reg=0.01)
    dense, sparse = np.zeros((300, 200), np.float32), np.zeros((300, 200), np.float32)
    weights, square = rng.standard_normal((200, 200)).astype(np.float32), random(200, 200, 0.2)
    history.times_dense(x, weights, dense)
    history.times_sparse(x, square, sparse)
    np.testing.assert_allclose(dense, x @ weights, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sparse, (x @ square).toarray(), rtol=1e-5)
    out += [np.array(wrong), user, item, dense.copy(), sparse, *nearest.neighbours(x, np.ones(200), 0.0, 9)]
    lists, scores = np.full((300, 9), -1, np.int32), np.full((300, 9), -np.inf, np.float32)
    topk.top_k(dense, x.indptr.astype(np.int64), x.indices, np.empty(0, np.bool_), lists, scores)
    machine, label = fm.Machine.of(200, 8, rng), rng.integers(0, 2, 300).astype(np.float32)
    penalty = fm.Penalty(0, 1, 1)
    fm.epoch(x, label, rng.permutation(300), machine, penalty, rate=0.01, label=True)
    fm.sweep(x, fm.Columns.of(x), label, machine, penalty, label=True)
    out += [*machine, fm.scores(x, machine), *fm.sums(x, machine)]
    return [array.tobytes() for array in (*out, lists, scores)]


def test_threads_do_not_show() -> None:
    with threads(1):
        one = outputs()
    with threads(2):
        assert outputs() == one
    with threads(10**6):  # as many as there are
        assert outputs() == one


def test_every_pair_is_taken_once_and_no_positive_as_a_negative() -> None:
    """At learning rate 0 nothing moves, and the mean of s(-x) tells which pairs were met."""
    x = random(90, 80, 0.2)
    user, item = np.ones((90, 8), np.float32), np.ones((80, 8), np.float32)
    given = (np.array([0, 30, 60, 90]), user, item, None, np.random.default_rng(0).permutation(80).astype(np.int32))
    assert bpr.epoch(x, *given, candidates=1, seed=1, rate=0.0, reg=0.0) == 0.5
    mine = x[0].indices
    alone = csr_matrix((np.ones(len(mine), np.float32), mine, np.r_[0, np.full(90, len(mine))]), shape=x.shape)
    item[mine] = 100
    assert bpr.epoch(alone, *given, candidates=1, seed=1, rate=0.0, reg=0.0) < 1e-6


@pytest.mark.parametrize("width", [40, 200])  # a row is kept in registers, or rows in blocks: here of three
@pytest.mark.parametrize("ordered", [True, False])
def test_a_product_of_a_sparse_matrix_and_rows(width: int, ordered: bool) -> None:
    rng, matrix = np.random.default_rng(4), random(70, 3000, 0.02)
    matrix.data[:] = rng.standard_normal(matrix.nnz)
    if not ordered:
        matrix.indices[:] = np.concatenate(
            [rng.permutation(codes) for codes in np.split(matrix.indices, matrix.indptr[1:-1])]
        )
    rows, total = (rng.standard_normal((n, width)).astype(np.float32) for n in (3000, 70))
    out, before = np.empty_like(total), total.copy()
    propagate.propagate(matrix, rows, out, total)
    np.testing.assert_allclose(out, matrix @ rows, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(total, before + out, rtol=1e-5, atol=1e-5)


def test_pieces_make_up_the_whole() -> None:
    for n in (0, 1, 5, 16, 17, 1000):
        for count in (1, 2, 3):
            done: list[range] = []
            with threads(count):
                spread(lambda start, stop, done=done: done.append(range(start, stop)), n)  # type: ignore[misc]
            assert sorted(row for piece in done for row in piece) == list(range(n))


def test_what_fails_in_a_thread_is_raised() -> None:
    def work(start: int, stop: int) -> None:
        raise ValueError("no")

    with threads(2), pytest.raises(ValueError, match="no"):
        spread(work, 10)


def test_says_that_it_compiles_and_not_again(tmp_path: Path, sample: Path) -> None:
    """What a user sees who runs it for the first time, and for the second."""
    environment = {**os.environ, "RECLI_CACHE_DIR": str(tmp_path / "cache")}
    del environment["RECLI_NO_PROGRESS"]
    line = "compiling for this processor, once; the next run finds it done"
    for times in (1, 0):
        command = [sys.executable, "-m", "recli", "train", str(sample), "--model", "itemknn", "-f", "-o", "model.npz"]
        made = subprocess.run(
            [*command, "--overwrite"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert made.stderr.count(line) == times, made.stderr
