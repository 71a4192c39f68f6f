"""``recli convert`` of 20 million interactions, against polars that reads and writes them without any check.

Run by hand: ``python tests/benchmarks/convert_20m.py [ROWS]``. It needs about 1.5 GB in the temporary directory.
Both commands run in turn, each in a process of its own; the medians of their times and of their peak memory are
compared.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

HEADER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
STEP = 1_000_000
ROUNDS = 3


def generate(path: Path, rows: int) -> None:
    """A made-up .inter file the shape of MovieLens-20M: 140,000 users, popular items first, half-star ratings."""
    rng = np.random.default_rng(2020)
    with path.open("wb") as out:
        out.write(HEADER)
        for start in range(0, rows, STEP):
            n = min(STEP, rows - start)
            columns = {
                "user": rng.integers(0, 140_000, n),
                "item": (rng.random(n) ** 3 * 130_000).astype(np.int64),
                "rating": rng.integers(1, 11, n) / 2,
                "time": rng.integers(800_000_000, 1_500_000_000, n),
            }
            pl.DataFrame(columns).write_csv(out, include_header=False, separator="\t")


def bare(source: Path, target: Path) -> None:
    """The least that any program can do: parse, with ids as text, and write."""
    text = {"user_id:token": pl.String, "item_id:token": pl.String}
    pl.read_csv(source, separator="\t", schema_overrides=text).write_parquet(target)


def measure(work: str, source: Path, target: Path) -> tuple[float, float]:
    """Wall seconds of the work and peak resident GB of a fresh process that does it."""
    began = time.perf_counter()
    command = {
        "bare": [sys.executable, __file__, "bare", str(source), str(target)],
        "recli": [sys.executable, "-m", "recli", "convert", "-q", "-f", "--overwrite", str(source), "-o", str(target)],
    }[work]
    child = os.spawnv(os.P_NOWAIT, sys.executable, command)
    _, status, usage = os.wait4(child, 0)
    assert status == 0, f"{work} failed"
    return time.perf_counter() - began, usage.ru_maxrss / 1e6


def main(rows: int) -> None:
    """Measure, and print both figures and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "big.inter"), Path(folder, "out.parquet")
        generate(source, rows)
        print(f"{rows:,} rows, {source.stat().st_size / 1e6:,.0f} MB")
        runs = {work: [] for work in ("bare", "recli")}
        for _ in range(ROUNDS):
            for work, results in runs.items():
                results.append(measure(work, source, target))
        medians = {work: [statistics.median(column) for column in zip(*r, strict=True)] for work, r in runs.items()}
        for work, (seconds, memory) in medians.items():
            print(f"{work:6} {seconds:6.2f} s {memory:6.2f} GB   all: {[round(s, 2) for s, _ in runs[work]]}")
        ratios = [ours / theirs for ours, theirs in zip(medians["recli"], medians["bare"], strict=True)]
        print(f"ratio  {ratios[0]:6.2f}   {ratios[1]:6.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        bare(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000)
