"""`recli evaluate` of an als model for 138,000 users and 27,000 items, against the top-k scoring alone.

    python tests/benchmarks/evaluate_model.py [USERS]

The interactions are made up, popular items more often: 20 of train and 5 of test a user. `recli split` and `recli
train` make the files, the model in one epoch, as how good its 64 factors are costs no time here. Measured in turn are
the process of ndcg, recall, mrr and map at 10; the same command within this process, where all is imported and
compiled; and top_k over the same scorer, queries and seen items, read before. The best of five of each, and the ratio
to top_k.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import polars as pl
from evaluate_1m import distinct, run

from recli.artifact import load
from recli.cli import app
from recli.interactions import Queries
from recli.pipeline.recommend import Request, open_model, open_task
from recli.ranking import top_k

TRAIN, TEST, K = 20, 5, 10
METRICS = ",".join(f"{name}@{K}" for name in ("ndcg", "recall", "mrr", "map"))
RECLI = [sys.executable, "-m", "recli"]
ROUNDS = 3


def make(folder: Path, users: int) -> Path:
    """A split and a model; the model's path."""
    items = distinct(np.random.default_rng(2020), users, TRAIN + TEST)
    ids = pl.Series([f"u{u:06}" for u in range(users)])
    names = pl.Series([f"i{i:05}" for i in range(items.max() + 1)])
    for part, chosen in (("train", items[:, :TRAIN]), ("test", items[:, TRAIN:])):
        user = ids.gather(np.arange(users).repeat(chosen.shape[1]))
        frame = pl.DataFrame({"user_id": user, "item_id": names.gather(chosen.ravel())})
        frame.write_parquet(folder / f"{part}.parquet")
    split, model = str(folder / "made.split.parquet"), folder / "made.als.npz"
    parts = ["--train", str(folder / "train.parquet"), "--test", str(folder / "test.parquet")]
    for command in (
        ["split", "-q", "--strategy", "given", *parts, "-o", split],
        ["train", "-q", "--model", "als", "-p", "epochs=1", split, "-o", str(model)],
    ):
        run([*RECLI, *command])
    return model


def in_memory(model: Path) -> Callable[[], object]:
    """What evaluate does not do without: top_k, with all that it takes at hand."""
    task = open_task(load(model), Request(k=K))
    users, items, scorer = open_model(task.artifact)
    wanted = task.events.part("test")["user_id"].unique(maintain_order=True)
    queries = Queries.of(wanted, task.events.part("train"), users, items)
    return lambda: top_k(scorer, queries, K, seen=(queries.indptr, queries.item))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(users: int) -> None:
    """Measure, and print seconds and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        model = make(Path(folder), users)
        command = ["evaluate", "-q", str(model), "--metrics", METRICS]

        def within() -> None:
            with redirect_stdout(TextIOWrapper(BytesIO())):
                app(command, standalone_mode=False)

        works = {
            "process": lambda: run([*RECLI, *command]),
            "in-process": within,
            "top_k": in_memory(model),
        }
        for work in works.values():  # compiles
            work()
        rounds = [{name: seconds(work) for name, work in works.items()} for _ in range(ROUNDS)]
    best = {name: min(times[name] for times in rounds) for name in works}
    print("", "seconds", "ratio", "all seconds", sep="\t")
    for name, least in best.items():
        times = ", ".join(f"{each[name]:.2f}" for each in rounds)
        print(name, f"{least:.2f}", f"{least / best['top_k']:.2f}", times, sep="\t")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 138_000)
