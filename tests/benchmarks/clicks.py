"""A click log that is larger than what is kept in memory: trained on and scored by `--stream`; seconds and peak memory.

    python tests/benchmarks/clicks.py [--rows 10000000] [--model deepfm] [--threads 2] [--folder FOLDER]

The log is made, by seed 2020: 40 fields beside the label, a user (100,000), an item (20,000), 34 columns of tokens
whose values fall off like 1 / (place + 1) among 10 to 5,000, and four of numbers; a click's log-odds are the sum of a
weight of each value and of the products of hidden rows of user, item and two columns. One epoch is trained, and all
rows are scored; printed are rows a second, the processor's seconds beside those of the clock, and the peak memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

GROUP = 250_000
USERS, ITEMS, TOKENS, NUMBERS = 100_000, 20_000, 34, 4


def write(path: Path, rows: int) -> None:
    """The log, group by group."""
    rng = np.random.default_rng(2020)
    sizes = np.geomspace(10, 5000, TOKENS).astype(int)
    weights = [rng.normal(0, 0.3, size).astype(np.float32) for size in (USERS, ITEMS, *sizes)]
    hidden = [rng.normal(0, 0.5, (size, 4)).astype(np.float32) for size in (USERS, ITEMS, sizes[-1], sizes[-2])]
    names = [np.array([f"{name}{code}" for code in range(size)]) for name, size in
             (("u", USERS), ("i", ITEMS), *((f"c{at}_", size) for at, size in enumerate(sizes)))]  # fmt: skip
    shares = [np.cumsum(1 / np.arange(1, size + 1)) for size in (USERS, ITEMS, *sizes)]
    writer = None
    for start in range(0, rows, GROUP):
        n = min(GROUP, rows - start)
        codes = [np.searchsorted(share, rng.random(n) * share[-1]) for share in shares]
        numbers = rng.random((NUMBERS, n))
        logit = -1.5 + numbers[0] + sum(weight[code] for weight, code in zip(weights, codes, strict=True)) / 3
        rows_of = [table[codes[at]] for table, at in zip(hidden, (0, 1, -1, -2), strict=True)]
        logit += (rows_of[0] * rows_of[1]).sum(1) + (rows_of[2] * rows_of[3]).sum(1)
        columns = {"label": (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)}
        heads = ["user_id", "item_id", *(f"c{at}" for at in range(TOKENS))]
        columns |= {head: pl.Series(name).gather(code) for head, name, code in zip(heads, names, codes, strict=True)}
        columns |= {f"n{at}": numbers[at] for at in range(NUMBERS)}
        table = pl.DataFrame(columns).to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(pa.table(table), row_group_size=GROUP)
    assert writer is not None
    writer.close()


def timed(folder: Path, *arguments: str) -> tuple[float, float, float]:
    """The clock's and the processor's seconds of a command, and its peak memory in MiB."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "RECLI_NO_PROGRESS": "1"}
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "recli", *arguments], cwd=folder, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"recli {' '.join(arguments)} failed")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--model", default="deepfm")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        log = folder / f"clicks-{asked.rows}.parquet"
        if not log.exists():
            write(log, asked.rows)
        print(f"{log.name}: {log.stat().st_size / 2**20:,.0f} MiB")
        own = ("-j", str(asked.threads), "--stream", "-f")
        train = ("train", str(log), "--model", asked.model, "-p", "epochs=1", "-p", "train_batch_size=4096")
        steps = {
            "train": (*train, "--numerical", "all", "-o", "clicks.npz", *own),
            "predict": ("predict", "clicks.npz", "--pairs", str(log), "-o", "clicks.preds.parquet", *own),
        }
        for name, arguments in steps.items():
            clock, processor, peak = timed(folder, *arguments)
            speed = f"{asked.rows / clock:,.0f} rows/s, {clock:.0f} s ({processor:.0f} s of processor)"
            print(f"{name}: {speed}, {peak:,.0f} MiB")
        timed(folder, "evaluate", "clicks.preds.parquet", "--metrics", "auc,logloss")


if __name__ == "__main__":
    main()
