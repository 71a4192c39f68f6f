"""Fits and lists of recli in turn with implicit's, on Gowalla, MovieLens-1M and made-up data of MovieLens-20M's shape.

    python tests/benchmarks/implicit.py [--peers PYTHON] [--tasks als,top-10] [--data gowalla,ml-1m,20m] [--rounds 5]

64 factors and two threads, the matrix in memory. als: 15 epochs of three steps of conjugate gradients, of the same
problem. bpr: 20 epochs of one step for each event, at the same first learning rate and regularisation. logmf: each at
its own defaults, which differ (see `recli.models.factor.logmf`). itemknn: cosine, 50 neighbours. top-10: the lists of
all users, without what they have, from the factors of implicit's als. On the made-up data als and bpr make two epochs.
implicit runs in the interpreter that --peers names, without threads of its BLAS, as it advises. Both run once first, so
that what compiles has compiled; then in turn. The median seconds of each, and the median of the rounds' ratios. On
Gowalla, the recall@20 of the last fits of both follows, on LightGCN's test set.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import synthetic

from recli.interactions import Interactions, encode
from recli.kernels import threads
from recli.metrics import METRICS
from recli.metrics.metric import by_user
from recli.model import Run
from recli.models.factor.als import ALS
from recli.models.factor.bpr import BPR
from recli.models.factor.logmf import LogMF
from recli.models.neighbor.itemknn import ItemKNN
from recli.ranking import top_k
from recli.scorers import Factors

SHARED = Path(os.environ.get("RECLI_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
THREADS, K = 2, 20

# recli's model, implicit's class with its parameters, and the parameter that is the number of its epochs; implicit's
# alpha is recli's 1 + alpha.
ALS_PARAMS = {"factors": 64, "alpha": 1 + ALS.alpha, "regularization": ALS.reg_weight}
BPR_PARAMS = {"factors": 64, "learning_rate": BPR.learning_rate, "regularization": BPR.reg_weight}
TASKS: dict[str, tuple[Any, str, dict[str, float]]] = {
    "als": (ALS(epochs=15), "cpu.als.AlternatingLeastSquares", {**ALS_PARAMS, "iterations": 15}),
    "bpr": (BPR(epochs=20), "cpu.bpr.BayesianPersonalizedRanking", {**BPR_PARAMS, "iterations": 20}),
    "logmf": (LogMF(), "cpu.lmf.LogisticMatrixFactorization", {"factors": 64}),
    "itemknn": (ItemKNN(k=50, shrink=0.0), "nearest_neighbours.CosineRecommender", {"K": 50}),
    "top-10": (None, "cpu.als.AlternatingLeastSquares", {**ALS_PARAMS, "iterations": 2}),
}
BIG = {"als": 2, "bpr": 2}  # epochs on the made-up data

# Does what it is told in a line, and answers with the seconds; factors and lists go into the file that it is told.
PEER = """
import importlib, json, sys, time
import numpy as np
from scipy.sparse import csr_matrix
matrix, file, name, given = sys.argv[1:]
module, _, name = name.rpartition(".")
make = getattr(importlib.import_module("implicit." + module), name)
given = json.loads(given)
if module.startswith("cpu"):
    given["random_state"] = 1
with np.load(matrix) as x:
    matrix = csr_matrix((x["data"], x["indices"], x["indptr"]), shape=tuple(x["shape"]))
for line in sys.stdin:
    if line.strip() == "fit":
        model = make(**given)
        began = time.perf_counter()
        model.fit(matrix, show_progress=False)
        seconds = time.perf_counter() - began
        if hasattr(model, "user_factors"):
            np.savez(file, user=model.user_factors, item=model.item_factors)
    else:
        began = time.perf_counter()
        lists, _ = model.recommend(np.arange(matrix.shape[0]), matrix, N=10)
        seconds = time.perf_counter() - began
        np.savez(file.replace("factors", "lists"), lists=lists)
    print(seconds, flush=True)
"""


class Peer:
    """implicit in a process of its own, which does nothing until it is asked."""

    def __init__(self, python: str, folder: Path, data: Interactions, name: str, given: dict[str, float]) -> None:
        self.folder, matrix, x = folder, folder / "matrix.npz", data.matrix
        np.savez(matrix, data=x.data, indices=x.indices, indptr=x.indptr, shape=x.shape)
        command = [python, "-W", "ignore", "-c", PEER, str(matrix), str(folder / "factors.npz"), name]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        command.append(json.dumps({"num_threads": THREADS, **given}))
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def __call__(self, what: str) -> float:
        """Seconds."""
        print(what, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def scorer(self) -> Factors:
        """Of the last fit."""
        with np.load(self.folder / "factors.npz") as arrays:
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
    rows = pl.read_csv(path, separator="\t", columns=[0, 1], infer_schema=False)
    return Interactions.of(rows.rename(dict(zip(rows.columns, ["user_id", "item_id"], strict=True)))), None


def recall(scorer: Factors, data: Interactions, test: pl.DataFrame) -> float:
    """The mean of the users of test, what they have in train left out of the lists."""
    codes, _ = top_k(scorer, data.queries(), K, seen=(data.indptr, data.item))
    user, item = encode(test["user_id"], data.users), encode(test["item_id"], data.items)
    order = np.lexsort((item, user))
    indptr = np.searchsorted(user[order], np.arange(data.n_users + 1))
    [values] = by_user([(METRICS["recall"], K)], codes, indptr, item[order])
    return float(np.nanmean(values))


def big() -> tuple[Interactions, None]:
    """MovieLens-20M's shape."""
    return Interactions.of(synthetic.events()), None


def seconds(model: Any, data: Interactions) -> tuple[float, Any]:
    """What a fit takes, and what it yields."""
    began = time.perf_counter()
    scorer = model.fit(data, Run(threads=THREADS))
    return time.perf_counter() - began, scorer


def fits(model: Any, peer: Peer, data: Interactions, rounds: int) -> tuple[list[tuple[float, float]], Any]:
    """The seconds of each round, and recli's last fit."""
    scorer, times = None, []
    for _ in range(1 + rounds):
        own, scorer = seconds(model, data)
        times.append((own, peer("fit")))
    return times[1:], scorer


def lists(peer: Peer, data: Interactions, rounds: int) -> list[tuple[float, float]]:
    """The seconds of each round.

    Raises:
        AssertionError: more than one entry in 10,000 differs.
    """
    peer("fit")
    scorer, queries, times = peer.scorer(), data.queries(), []
    for _ in range(1 + rounds):
        began = time.perf_counter()
        with threads(THREADS):
            codes, _ = top_k(scorer, queries, 10, seen=(data.indptr, data.item))
        times.append((time.perf_counter() - began, peer("lists")))
    with np.load(peer.folder / "lists.npz") as arrays:
        assert (codes == arrays["lists"]).mean() > 0.9999
    return times[1:]


def main(python: str, tasks: list[str], names: list[str], rounds: int) -> None:
    """Measure, and print."""
    print("data", "task", "recli", "implicit", "ratio", "recall@20 recli", "implicit", sep="\t")
    for name in names:
        data, test = {"gowalla": gowalla, "ml-1m": ml_1m, "20m": big}[name]()
        for task in tasks:
            model, theirs, given = TASKS[task]
            if name == "20m" and task in BIG:
                model, given = replace(model, epochs=BIG[task]), {**given, "iterations": BIG[task]}
            with tempfile.TemporaryDirectory() as folder:
                peer = Peer(python, Path(folder), data, theirs, given)
                if task == "top-10":
                    times, scorer = lists(peer, data, rounds), None
                else:
                    times, scorer = fits(model, peer, data, rounds)
                ratio = statistics.median(other / own for own, other in times)
                medians = [f"{statistics.median(column):.2f}" for column in zip(*times, strict=True)]
                both = [scorer, peer.scorer()] if isinstance(scorer, Factors) and test is not None else []
                print(name, task, *medians, f"{ratio:.2f}", *(f"{recall(s, data, test):.4f}" for s in both), sep="\t")
                sys.stdout.flush()
                peer.process.communicate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--data", default="gowalla,ml-1m,20m")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    main(asked.peers, asked.tasks.split(","), asked.data.split(","), asked.rounds)
