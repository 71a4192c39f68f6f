"""Fits of als, bpr and logmf, in turn with implicit's, on Gowalla and MovieLens-1M.

    python tests/benchmarks/implicit.py [--peers PYTHON] [--models als,bpr,logmf] [--data gowalla,ml-1m] [--rounds 5]

64 factors and two threads, the matrix in memory. als: 15 epochs of three steps of conjugate gradients, of the same
problem. bpr: 20 epochs of one step for each event, at the same first learning rate and regularisation. logmf: each at
its own defaults, which differ (see `recli.models.factor.logmf`). implicit runs in the interpreter that --peers names,
without threads of its BLAS, as it advises. Both fit once first, so that what compiles has compiled; then in turn. The
median seconds of each, and the median of the rounds' ratios. On Gowalla, the recall@20 of the last fits of both
follows, on LightGCN's test set.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recli.interactions import Interactions, encode
from recli.metrics import METRICS
from recli.metrics.metric import by_user
from recli.model import Run
from recli.models.factor.als import ALS
from recli.models.factor.bpr import BPR
from recli.models.factor.logmf import LogMF
from recli.ranking import top_k
from recli.scorers import Factors

SHARED = Path(os.environ.get("RECLI_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
THREADS, K = 2, 20

# recli's model, and implicit's with its parameters; its alpha is recli's 1 + alpha.
MODELS: dict[str, tuple[Any, str, dict[str, float]]] = {
    "als": (
        ALS(epochs=15),
        "als.AlternatingLeastSquares",
        {"iterations": 15, "alpha": 1 + ALS.alpha, "regularization": ALS.reg_weight},
    ),
    "bpr": (
        BPR(epochs=20),
        "bpr.BayesianPersonalizedRanking",
        {"iterations": 20, "learning_rate": BPR.learning_rate, "regularization": BPR.reg_weight},
    ),
    "logmf": (LogMF(), "lmf.LogisticMatrixFactorization", {}),
}

# Fits once for every line that comes, and answers with the seconds; the factors go into the file that it is told.
PEER = """
import importlib, json, sys, time
import numpy as np
from scipy.sparse import csr_matrix
matrix, factors, name, given = sys.argv[1:]
module, _, name = name.partition(".")
make = getattr(importlib.import_module("implicit.cpu." + module), name)
with np.load(matrix) as x:
    matrix = csr_matrix((x["data"], x["indices"], x["indptr"]), shape=tuple(x["shape"]))
for line in sys.stdin:
    model = make(random_state=1, **json.loads(given))
    began = time.perf_counter()
    model.fit(matrix, show_progress=False)
    seconds = time.perf_counter() - began
    np.savez(factors, user=model.user_factors, item=model.item_factors)
    print(seconds, flush=True)
"""


class Peer:
    """implicit in a process of its own, which does nothing until it is asked."""

    def __init__(self, python: str, folder: Path, data: Interactions, name: str, given: dict[str, float]) -> None:
        self.factors, matrix, x = folder / "factors.npz", folder / "matrix.npz", data.matrix
        np.savez(matrix, data=x.data, indices=x.indices, indptr=x.indptr, shape=x.shape)
        given = {"factors": 64, "num_threads": THREADS, **given}
        command = [python, "-c", PEER, str(matrix), str(self.factors), name, json.dumps(given)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def fit(self) -> float:
        """Seconds."""
        print(file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def scorer(self) -> Factors:
        """Of the last fit."""
        with np.load(self.factors) as arrays:
            return Factors(user=arrays["user"].astype(np.float32), item=arrays["item"].astype(np.float32))


def gowalla() -> tuple[Interactions, pl.DataFrame]:
    """Train, and the rows of test."""
    train, test = (
        pl.DataFrame(
            [(user, item) for user, *items in map(str.split, path.read_text().splitlines()) for item in items],
            schema=["user_id", "item_id"],
            orient="row",
        )
        for path in (SHARED / "gowalla" / "train.txt", SHARED / "gowalla" / "test.txt")
    )
    return Interactions.of(train), test


def ml_1m() -> tuple[Interactions, None]:
    """Every rating, as an event."""
    path = SHARED / "ml-1m" / "ml-1m-ratings.inter"
    rows = pl.read_csv(path, separator="\t", columns=[0, 1], infer_schema=False, new_columns=["user_id", "item_id"])
    return Interactions.of(rows), None


def recall(scorer: Factors, data: Interactions, test: pl.DataFrame) -> float:
    """The mean of the users of test, what they have in train left out of the lists."""
    codes, _ = top_k(scorer, data.queries(), K, seen=(data.indptr, data.item))
    user, item = encode(test["user_id"], data.users), encode(test["item_id"], data.items)
    order = np.lexsort((item, user))
    indptr = np.searchsorted(user[order], np.arange(data.n_users + 1))
    [values] = by_user([(METRICS["recall"], K)], codes, indptr, item[order])
    return float(np.nanmean(values))


def seconds(model: Any, data: Interactions) -> tuple[float, Factors]:
    """What a fit takes, and what it yields."""
    began = time.perf_counter()
    scorer = model.fit(data, Run(threads=THREADS))
    return time.perf_counter() - began, scorer


def main(python: str, models: list[str], names: list[str], rounds: int) -> None:
    """Measure, and print."""
    print("data", "model", "recli", "implicit", "ratio", "recall@20 recli", "implicit", sep="\t")
    for name in names:
        data, test = {"gowalla": gowalla, "ml-1m": ml_1m}[name]()
        for label in models:
            model, theirs, given = MODELS[label]
            with tempfile.TemporaryDirectory() as folder:
                peer = Peer(python, Path(folder), data, theirs, given)
                seconds(model, data)
                peer.fit()
                times = []
                for _ in range(rounds):
                    own, scorer = seconds(model, data)
                    times.append((own, peer.fit()))
                ratio = statistics.median(other / own for own, other in times)
                medians = [f"{statistics.median(column):.2f}" for column in zip(*times, strict=True)]
                found = [] if test is None else [f"{recall(s, data, test):.4f}" for s in (scorer, peer.scorer())]
                print(name, label, *medians, f"{ratio:.2f}", *found, sep="\t", flush=True)
                peer.process.communicate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--models", default="als,bpr,logmf")
    parser.add_argument("--data", default="gowalla,ml-1m")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    main(asked.peers, asked.models.split(","), asked.data.split(","), asked.rounds)
