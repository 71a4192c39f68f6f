"""The whole of `recli evaluate` on 1,000,000 rows of lists and as many of truth, against ranx, pytrec_eval and others.

    python tests/benchmarks/evaluate_1m.py [USERS] [--peers PYTHON] [--peers NAME=PYTHON]

Two Parquet files that no recli made, 100,000 users with lists of 10 and 10 relevant items each, ids as text, to ndcg,
recall, mrr and map at 10: for every tool a process of its own, from the interpreter's start to the printed values. Each
peer is given its inputs in the quickest way found that its documentation allows, and runs in the interpreter that
--peers names for it (ranx, pytrec_eval, rectools or lenskit; else the one without a name; else this one), which has to
have pandas, pyarrow and polars too.

All run once on a hundredth first, so that what compiles has compiled. The best of three, in turn, or of as many as fit
into half a minute. A peer's values are compared with those of recli in its dialect: they have to be the same to 1e-6.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

ITEMS, K = 27_000, 10
METRICS = ("ndcg@10", "recall@10", "mrr@10", "map@10")
ROUNDS, ENOUGH = 3, 30.0  # seconds

# Rows to dicts of dicts; polars hands over columns of Python's objects soonest.
DICTS = """
import sys
from collections import defaultdict
import polars as pl
def nested(frame, values):
    made = defaultdict(dict)
    for user, item, value in zip(frame["user_id"].to_list(), frame["item_id"].to_list(), values):
        made[user][item] = value
    return dict(made)
lists, truth = (pl.read_parquet(path) for path in sys.argv[1:])
qrels, run = nested(truth, [1] * len(truth)), nested(lists, lists["score"].to_list())
"""

# Its dialect, and the script: it takes the two paths and prints the four values. ranx takes plain dicts too, where the
# users of both are in one order, in less than half the time of Qrels(dict) and Run(dict), which are sooner made than
# from_df's and from_parquet's. RecTools merges numbers sooner than text.
PEERS = {
    "ranx": (
        "ranx",
        DICTS
        + """
import ranx
qrels, run = dict(sorted(qrels.items())), dict(sorted(run.items()))
print(*ranx.evaluate(qrels, run, ["ndcg@10", "recall@10", "mrr@10", "map@10"]).values())
""",
    ),
    "pytrec_eval": (
        "trec",
        DICTS
        + """
import pytrec_eval
names = ["ndcg_cut_10", "recall_10", "recip_rank", "map_cut_10"]
evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.10", "recip_rank", "map_cut.10"})
found = evaluator.evaluate(run).values()
print(*(sum(user[name] for user in found) / len(found) for name in names))
""",
    ),
    "rectools": (
        "rectools",
        """
import sys
import pandas as pd
from rectools.metrics import MAP, MRR, NDCG, Recall, calc_metrics
lists, truth = (pd.read_parquet(path) for path in sys.argv[1:])
for name in ("user_id", "item_id"):
    codes, _ = pd.factorize(pd.concat([lists[name], truth[name]]))
    lists[name], truth[name] = codes[: len(lists)], codes[len(lists) :]
lists["rank"] = lists.groupby("user_id", sort=False)["score"].rank(method="first", ascending=False).astype(int)
metrics = {"ndcg": NDCG(k=10), "recall": Recall(k=10), "mrr": MRR(k=10), "map": MAP(k=10)}
values = calc_metrics(metrics, reco=lists, interactions=truth)
print(*(values[name] for name in metrics))
""",
    ),
    "lenskit": (
        "lenskit",
        """
import sys
import pandas as pd
from lenskit.data import ItemList, ItemListCollection
from lenskit.metrics import RunAnalysis
from lenskit.metrics.ranking import NDCG, AveragePrecision, Recall, RecipRank
def collection(frame, ordered):
    items = frame["item_id"].to_numpy()
    rows = frame.groupby("user_id", sort=False).indices
    return ItemListCollection.from_dict({u: ItemList(items[at], ordered=ordered) for u, at in rows.items()}, "user_id")
lists, truth = (pd.read_parquet(path) for path in sys.argv[1:])
run = collection(lists.sort_values("score", ascending=False, kind="stable"), True)
done = RunAnalysis(NDCG(10), Recall(10), RecipRank(10), AveragePrecision(10)).measure(run, collection(truth, False))
print(*done.list_summary()["mean"][["NDCG@10", "Recall@10", "RecipRank@10", "AveragePrecision@10"]])
""",
    ),
}


def distinct(rng: np.random.Generator, users: int, width: int) -> np.ndarray:
    """``width`` different items for each user, popular ones more often, in random order."""
    drawn = np.sort((rng.random((users, 2 * width)) ** 3 * ITEMS).astype(np.int32), axis=1)
    again = np.diff(drawn, axis=1, prepend=-1) == 0
    kept = np.argsort(again, axis=1, kind="stable")[:, :width]
    assert not np.take_along_axis(again, kept, axis=1).any(), "too few different items were drawn"
    return rng.permuted(np.take_along_axis(drawn, kept, axis=1), axis=1)


def make(folder: Path, users: int) -> tuple[Path, Path]:
    """The lists and the truth: K relevant items of 60 that a user might be shown, and twice as likely to be."""
    rng = np.random.default_rng(2020)
    shown = distinct(rng, users, 60)
    weight = np.where(np.arange(60) < K, 2, 1)
    score = rng.random(shown.shape) ** (1 / weight)
    best = np.argsort(-score, axis=1)[:, :K]
    names = pl.Series([f"i{item:05}" for item in rng.permutation(ITEMS)])
    other_order = rng.permutation(users)

    def table(user: np.ndarray, items: np.ndarray) -> pl.DataFrame:
        ids = pl.Series([f"u{u:06}" for u in user])
        return pl.DataFrame({"user_id": ids.gather(np.arange(users).repeat(K)), "item_id": names.gather(items.ravel())})

    lists, truth = folder / "lists.parquet", folder / "truth.parquet"
    scored = pl.Series("score", np.take_along_axis(score, best, axis=1).ravel())
    table(np.arange(users), np.take_along_axis(shown, best, axis=1)).with_columns(scored).write_parquet(lists)
    table(other_order, shown[other_order, :K]).write_parquet(truth)
    return lists, truth


def run(command: list[str]) -> tuple[str, float, float]:
    """What a command prints, its wall seconds and its peak memory in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return printed.strip(), time.perf_counter() - began, usage.ru_maxrss / 1024


def recli(lists: Path, truth: Path, *options: str) -> list[str]:
    evaluate = ["evaluate", str(lists), "--truth", str(truth), "--metrics", ",".join(METRICS)]
    return [sys.executable, "-m", "recli", *evaluate, *options]


def peer(name: str, python: str, lists: Path, truth: Path) -> list[str]:
    return [python, "-W", "ignore", "-c", PEERS[name][1], str(lists), str(truth)]


def in_dialect(dialect: str, lists: Path, truth: Path) -> tuple[list[float], list[str]]:
    """recli's values and their definitions, in the order of METRICS."""
    entries = json.loads(run(recli(lists, truth, "--json", "--dialect", dialect))[0])["metrics"]
    return [entries[name]["value"] for name in METRICS], [entries[name]["definition"] for name in METRICS]


def compare(values: dict[str, list[float]], lists: Path, truth: Path) -> None:
    """Hold every peer's values to those of its dialect, and print what it means otherwise."""
    own, plain = in_dialect("recli", lists, truth)
    for name, found in values.items():
        if name == "recli":
            continue
        expected, definitions = in_dialect(PEERS[name][0], lists, truth)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6, err_msg=f"{name}, in the order of {METRICS}")
        rows = zip(METRICS, definitions, plain, np.isclose(expected, own, rtol=0, atol=1e-6), strict=True)
        others = [f"{metric} is {d}{' (here the same)' * bool(same)}" for metric, d, p, same in rows if d != p]
        print(f"{name} = recli --dialect {PEERS[name][0]} to 1e-6; by definition {'; '.join(others) or 'as recli'}")


def interpreters(given: list[str]) -> dict[str, str]:
    """The interpreter of every peer that can be imported there."""
    named = dict(text.split("=", 1) for text in given if text.split("=", 1)[0] in PEERS)
    others = [text for text in given if text.split("=", 1)[0] not in PEERS]
    chosen = {name: named.get(name, others[-1] if others else sys.executable) for name in PEERS}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for name, python in list(chosen.items()):
        if subprocess.run([python, "-c", f"import {name}"], check=False, **quiet).returncode:
            print(f"{name}: not installed")
            del chosen[name]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("users", type=int, nargs="?", default=100_000)
    parser.add_argument("--peers", action="append", default=[], metavar="[NAME=]PYTHON")
    given = parser.parse_args()
    found = interpreters(given.peers)
    with tempfile.TemporaryDirectory() as folder:
        for users in (given.users // 100, given.users):
            lists, truth = make(Path(folder), users)
            commands = {"recli": recli(lists, truth), **{n: peer(n, p, lists, truth) for n, p in found.items()}}
            rounds = ROUNDS if users == given.users else 1
            runs: dict[str, list[tuple[str, float, float]]] = {name: [] for name in commands}
            for _ in range(rounds):
                for name, command in commands.items():
                    if sum(seconds for _, seconds, _ in runs[name]) < ENOUGH:
                        runs[name].append(run(command))
        lines = runs["recli"][0][0].splitlines()[1:]
        values = {"recli": [float(line.split("\t")[1]) for line in lines]}
        values |= {name: [float(word) for word in runs[name][0][0].splitlines()[-1].split()] for name in found}
        print("process", "seconds", "MiB", "ratio", *METRICS, "all seconds", sep="\t")
        least = {name: min(seconds for _, seconds, _ in done) for name, done in runs.items()}
        for name, done in runs.items():
            times = ", ".join(f"{seconds:.2f}" for _, seconds, _ in done)
            memory = min(mib for _, _, mib in done)
            shown = [f"{least[name]:.2f}", f"{memory:.0f}", f"{least[name] / least['recli']:.2f}"]
            print(name, *shown, *(f"{value:.6f}" for value in values[name]), times, sep="\t")
        compare(values, lists, truth)


if __name__ == "__main__":
    main()
