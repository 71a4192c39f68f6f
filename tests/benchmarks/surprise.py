"""Fits, predictions and lists of recli in turn with Surprise 1.1.5's, on MovieLens-100K and MovieLens-1M.

    python tests/benchmarks/surprise.py [--peers PYTHON] [--tasks svd,knn-item] [--data ml-100k,ml-1m] [--rounds 3]

Nine tenths of the ratings, drawn at random, are fitted, with the parameters that are Surprise's defaults but for the
64 factors of svd, and for the epochs of svdpp on MovieLens-1M, of which both do one, as 20 take Surprise seven minutes;
knn-user is KNNBasic of users by msd, knn-item of items by cosine. pairs: the ratings of the other tenth, from their ids
on. top-10: the lists of all users, without what they have rated; Surprise's by a loop over `estimate`. recli has two
threads and Surprise, in the interpreter that --peers names, the one that it can use; both the ratings in memory.

Of lists, and of the pairs of what is slow to predict, Surprise makes a part, and its seconds are scaled to the whole;
the last column says which part it was. recli does the whole, and first once without being timed, so that what compiles
has compiled; then both run in turn. The median seconds of each, and the median of the rounds' ratios. The RMSE is of
the last fits of both, on the same pairs, clipped to 1 to 5; a rating that cannot be predicted is the mean. Of what
starts from random numbers it differs from seed to seed, on both sides, by some thousandths.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recli.interactions import Interactions, Queries, encode
from recli.kernels import threads
from recli.model import Run
from recli.models.rating.baseline import Baseline
from recli.models.rating.coclustering import CoClustering
from recli.models.rating.knn import KNN
from recli.models.rating.nmf import RatingNMF
from recli.models.rating.slopeone import SlopeOne
from recli.models.rating.svd import SVD
from recli.models.rating.svdpp import SVDpp
from recli.ranking import top_k

SHARED = Path(os.environ.get("RECLI_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
FILES = {"ml-100k": "ml-100k/ml-100k.inter", "ml-1m": "ml-1m/ml-1m-ratings.inter"}
THREADS = 2
LOW, HIGH = 1, 5
ALL = sys.maxsize
Doubles = NDArray[np.float64]
Ints = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Task:
    """recli's model, Surprise's class with its parameters, and what Surprise does of the whole."""

    model: Any
    theirs: str
    given: dict[str, Any] = field(default_factory=dict)
    pairs: int = ALL  # that it predicts
    users: int = 0  # whose lists it makes; where 0, there are no lists
    epochs: int | None = None  # on MovieLens-1M, of both; otherwise the default


ITEMS = {"name": "cosine", "user_based": False}
TASKS = {
    "baseline": Task(model=Baseline(), theirs="BaselineOnly", given={"verbose": False}),
    "svd": Task(model=SVD(embedding_size=64), theirs="SVD", given={"n_factors": 64}, users=100),
    "svdpp": Task(model=SVDpp(), theirs="SVDpp", pairs=5_000, epochs=1),
    "nmf": Task(model=RatingNMF(), theirs="NMF"),
    "slopeone": Task(model=SlopeOne(), theirs="SlopeOne", pairs=5_000),
    "coclustering": Task(model=CoClustering(), theirs="CoClustering"),
    "knn-user": Task(model=KNN(), theirs="KNNBasic", given={"verbose": False}, pairs=5_000, users=5),
    "knn-item": Task(
        model=KNN(similarity="cosine", user_based=False),
        theirs="KNNBasic",
        given={"verbose": False, "sim_options": ITEMS},
        pairs=5_000,
        users=20,
    ),
}

# Does what it is told in a line, for so many, and answers with the seconds; predictions go into the second file.
PEER = """
import heapq, json, random, sys, time
from collections import defaultdict
import numpy as np
import surprise
file, predicted, name, given, low, high = sys.argv[1:]
make, given = getattr(surprise, name), json.loads(given)
with np.load(file) as x:
    train, test, shape = x["train"].tolist(), x["test"].tolist(), x["shape"].tolist()
ur, ir = defaultdict(list), defaultdict(list)
for user, item, rating in train:
    ur[int(user)].append((int(item), rating))
    ir[int(item)].append((int(user), rating))
codes = [{code: code for code in range(n)} for n in shape]
trainset = surprise.Trainset(ur, ir, *shape, len(train), (int(low), int(high)), *codes)
test = [(int(user), int(item), rating) for user, item, rating in test]
some = random.Random(1).sample(range(shape[0]), shape[0])

def estimate(user, item):
    try:
        found = model.estimate(user, item)
    except surprise.PredictionImpossible:
        return -np.inf
    return found[0] if isinstance(found, tuple) else found

for line in sys.stdin:
    what, count = line.split()
    began = time.perf_counter()
    if what == "fit":
        model = make(**given)
        model.fit(trainset)
    elif what == "pairs":
        said = model.test(test[: int(count)])
    else:
        for user in some[: int(count)]:
            had = {item for item, _ in ur[user]}
            scores = ((estimate(user, item), item) for item in range(shape[1]) if item not in had)
            heapq.nlargest(10, scores)
    seconds = time.perf_counter() - began
    if what == "pairs":
        np.save(predicted, [one.est for one in said])
    print(seconds, flush=True)
"""


class Data:
    """Nine tenths of the ratings, and the other tenth in random order."""

    def __init__(self, name: str) -> None:
        frame = pl.read_csv(SHARED / FILES[name], separator="\t", columns=[0, 1, 2], infer_schema=False)
        frame = frame.rename({column: column.partition(":")[0] for column in frame.columns})
        frame = frame.with_columns(pl.col("rating").cast(pl.Float64)).sample(fraction=1, shuffle=True, seed=1)
        test, train = frame[: len(frame) // 10], frame[len(frame) // 10 :]
        self.name, self.train, self.test = name, Interactions.of(train), test
        self.rating = test["rating"].to_numpy()

    def pairs(self) -> tuple[Ints, Ints]:
        """User and item of the tenth, -1 where not known."""
        return encode(self.test["user_id"], self.train.users), encode(self.test["item_id"], self.train.items)

    def save(self, path: Path) -> None:
        """For the peer."""
        train = self.train
        assert train.rating is not None
        user = np.repeat(np.arange(train.n_users), np.diff(train.indptr))
        np.savez(
            path,
            train=np.column_stack([user, train.item, train.rating]),
            test=np.column_stack([*self.pairs(), self.rating]),
            shape=[train.n_users, train.n_items],
        )

    def predicted(self, scorer: Any) -> Doubles:
        """The ratings of the tenth."""
        assert self.train.rating is not None
        user, item = self.pairs()
        queries = Queries(user=user, indptr=np.zeros(len(user) + 1, np.int64), item=np.empty(0, np.int32))
        scores = scorer.score_pairs(queries, item)
        clipped: Doubles = np.clip(np.where(np.isneginf(scores), self.train.rating.mean(), scores), LOW, HIGH)
        return clipped

    def rmse(self, predicted: Doubles) -> str:
        """Of the first pairs of the tenth."""
        return f"{np.sqrt(np.mean((predicted - self.rating[: len(predicted)]) ** 2)):.4f}"


@dataclass(frozen=True)
class Part:
    """Of what is asked, how much Surprise does."""

    what: str
    count: int = 1
    of: int = 1
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.count:,} of {self.of:,} {self.unit}" if self.count < self.of else ""


class Peer:
    """Surprise in a process of its own, which does nothing until it is asked."""

    def __init__(self, python: str, folder: Path, data: Data, task: Task) -> None:
        self.predicted = folder / "predicted.npy"
        data.save(folder / "data.npz")
        seeded = {} if task.theirs in ("BaselineOnly", "SlopeOne", "KNNBasic") else {"random_state": 1}
        command = [python, "-I", "-W", "ignore", "-c", PEER, str(folder / "data.npz"), str(self.predicted), task.theirs]
        command += [json.dumps({**task.given, **seeded}), str(LOW), str(HIGH)]
        environment, pipe = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}, subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def __call__(self, part: Part) -> float:
        """Seconds, scaled to the whole."""
        print(part.what, part.count, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline()) * part.of / part.count  # type: ignore[union-attr]


def in_turn(own: Callable[[], Any], peer: Peer, part: Part, rounds: int) -> tuple[list[str], Any]:
    """The median seconds of recli and of Surprise, the median ratio, and what recli's last round yields."""
    own()
    times, result = [], None
    for _ in range(rounds):
        began = time.perf_counter()
        result = own()
        times.append((time.perf_counter() - began, peer(part)))
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    return [*(f"{median:.3g}" for median in medians), f"{statistics.median(b / a for a, b in times):.1f}"], result


def measure(python: str, folder: Path, data: Data, name: str, rounds: int) -> None:
    """The lines of a model: fit, pairs and, of some, top-10."""
    task, train, n = TASKS[name], data.train, len(data.rating)
    if task.epochs is not None and data.name == "ml-1m":
        given = {**task.given, "n_epochs": task.epochs}
        task = replace(task, model=replace(task.model, epochs=task.epochs), given=given)
    peer = Peer(python, folder, data, task)

    def line(part: Part, own: Callable[[], Any], errors: Callable[[Any], tuple[str, str]] = lambda _: ("", "")) -> Any:
        cells, result = in_turn(own, peer, part, rounds)
        print(data.name, f"{name} {part.what}", *cells, *errors(result), part, sep="\t", flush=True)
        return result

    def errors(said: Doubles) -> tuple[str, str]:
        theirs = np.load(peer.predicted)
        return data.rmse(said[: len(theirs)]), data.rmse(theirs)

    scorer = line(Part("fit"), lambda: task.model.fit(train, Run(threads=THREADS)))
    with threads(THREADS):
        line(Part("pairs", min(task.pairs, n), n, "pairs"), lambda: data.predicted(scorer), errors)
        if task.users:
            queries, seen = train.queries(), (train.indptr, train.item)
            top_10 = Part("top-10", task.users, train.n_users, "users")
            line(top_10, lambda: top_k(scorer, queries, 10, seen=seen))
    peer.process.communicate()


def main(python: str, tasks: list[str], names: list[str], rounds: int) -> None:
    """Measure, and print."""
    print("data", "task", "recli", "Surprise", "ratio", "RMSE recli", "Surprise", "Surprise's part", sep="\t")
    for name in names:
        data = Data(name)
        for task in tasks:
            with tempfile.TemporaryDirectory() as folder:
                measure(python, Path(folder), data, task, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--data", default=",".join(FILES))
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    main(asked.peers, asked.tasks.split(","), asked.data.split(","), asked.rounds)
