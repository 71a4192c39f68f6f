"""ndcg, recall, mrr and map at 10 of 100,000 users, 10 relevant items each: lists of 10, and of 100, against ranx.

    python tests/benchmarks/metrics_100k.py [USERS]

Everything is in memory: item codes for recli, a Qrels and a Run for ranx, whose building is printed apart. ranx's first
call compiles and is left out; recli's arrays are taken as `recli evaluate` makes them. The best of five. The values of
both are compared first. At 100 of lists of 100, recli alone is timed.
"""

import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

from recli.metrics import METRICS
from recli.metrics.dialects import DIALECTS
from recli.metrics.metric import by_user

ITEMS = 27_000
RELEVANT = 10
NAMES = ("ndcg", "recall", "mrr", "map")


def distinct(rng: np.random.Generator, users: int, width: int) -> np.ndarray:
    """``width`` different items for each user, in random order."""
    strides = rng.integers(1, ITEMS // width, (users, 1))
    items = (rng.integers(0, ITEMS, (users, 1)) + strides * np.arange(width)) % ITEMS
    return rng.permuted(items, axis=1).astype(np.int32)


def made_up(users: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists and what is relevant: on average a third of the relevant items stand in the list."""
    rng = np.random.default_rng(2020)
    lists = distinct(rng, users, depth)
    relevant = distinct(rng, users, RELEVANT)
    listed = lists[np.arange(users)[:, None], rng.permuted(np.tile(np.arange(depth), (users, 1)), axis=1)[:, :RELEVANT]]
    found = rng.random(relevant.shape) < 0.33
    relevant = np.where(found, listed, relevant)
    relevant.sort(axis=1)
    again = np.diff(relevant, axis=1, prepend=-1) == 0
    return lists, np.where(again, ITEMS + np.arange(RELEVANT), relevant)  # an item twice becomes one that nobody lists


def best(work: Callable[[], object]) -> float:
    """Seconds, the best of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def ranx_of(lists: np.ndarray, relevant: np.ndarray) -> tuple[float, float, dict[str, float]]:
    """Seconds to build its inputs, to evaluate once warm, and the values."""
    warnings.simplefilter("ignore")
    from ranx import Qrels, Run, evaluate

    began = time.perf_counter()
    scores = [float(place) for place in range(lists.shape[1], 0, -1)]
    names = [f"i{item:05}" for item in range(ITEMS + RELEVANT)]
    qrels = Qrels({f"u{u:06}": {names[item]: 1 for item in row} for u, row in enumerate(relevant.tolist())})
    run = Run(
        {
            f"u{u:06}": dict(zip([names[item] for item in row], scores, strict=True))
            for u, row in enumerate(lists.tolist())
        }
    )
    building = time.perf_counter() - began
    metrics = [f"{name}@10" for name in NAMES]
    values = evaluate(qrels, run, metrics)  # compiles
    return building, best(lambda: evaluate(qrels, run, metrics)), {name: values[f"{name}@10"] for name in NAMES}


def main(users: int) -> None:
    """Measure, and print seconds and ratios."""
    for depth in (10, 100):
        lists, relevant = made_up(users, depth)
        relevant.sort(axis=1)
        indptr, items = np.arange(0, users * RELEVANT + 1, RELEVANT), relevant.ravel().astype(np.int32)

        def ours(k: int, table=METRICS, lists=lists, indptr=indptr, items=items) -> dict[str, float]:
            metrics = [(table[name], k) for name in NAMES]
            values = by_user(metrics, lists, indptr, items)
            return {m.name: m.mean(v, np.diff(indptr), k) for (m, _), v in zip(metrics, values, strict=True)}

        seconds = best(lambda ours=ours: ours(10))
        building, theirs, values = ranx_of(lists, relevant)
        np.testing.assert_allclose(list(ours(10, DIALECTS["ranx"]).values()), list(values.values()), rtol=1e-9)
        print(f"lists of {depth:3}, at 10:  recli {seconds:.3f} s", end="")
        print(f"  ranx {theirs:.3f} s (inputs {building:.1f} s)  ratio {theirs / seconds:.0f}")
        if depth > 10:
            print(f"lists of {depth:3}, at {depth}: recli {best(lambda ours=ours, k=depth: ours(k)):.3f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
