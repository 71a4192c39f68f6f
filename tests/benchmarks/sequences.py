"""Seconds of an epoch of networks that read sequences: ``python tests/benchmarks/sequences.py FILE MODEL …``.

FILE is in time order within a user, in any format that its name tells, or ``user item`` lines (.txt). Of every user all
but the last two events are trained on, as after a split by leave-one-out. An epoch is timed after ``--warm`` batches of
another, or, with ``--batches``, so many of its batches are, and the rest is reckoned from them.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

from recli.interactions import Interactions
from recli.model import Run, configure, parse
from recli.models import catalog
from recli.sources import Options, read
from recli.training import windows


class Done(Exception):
    """What was to be timed is over."""


def interactions(file: Path) -> Interactions:
    events = read(file, Options(format="pairs" if file.suffix == ".txt" else None)).frame
    order = next((name for name in ("timestamp", "position") if name in events.columns), None)
    events = events.sort(order, maintain_order=True) if order else events
    place = pl.int_range(pl.len()).over("user_id")
    return Interactions.of(events.filter(place < pl.len().over("user_id") - 2))


def seconds(data: Interactions, name: str, params: list[str], threads: int, warm: int, batches: int | None) -> float:
    """Of an epoch, forward, backward and optimizer."""
    whole, found = windows.Sequences.epoch, []

    def timed(self, places, size):
        began, events, number = 0.0, 0, 0
        for number, batch in enumerate(whole(self, places, size)):
            if number == warm:
                began, events = time.perf_counter(), 0
            if batches is not None and number == warm + batches:
                break
            events += len(batch[0].target)
            yield batch
        found.append((time.perf_counter() - began) * total / events)
        raise Done

    total = int(np.maximum(np.diff(data.indptr) - 1, 0).sum())
    chosen = catalog.resolve(name)
    windows.Sequences.epoch = timed
    try:
        configure(chosen.cls, {**chosen.preset, **parse(params)}).fit(data, Run(threads=threads))
    except Done:
        pass
    finally:
        windows.Sequences.epoch = whole
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("-p", dest="params", action="append", default=[])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--warm", type=int, default=5)
    parser.add_argument("--batches", type=int)
    asked = parser.parse_args()
    data = interactions(asked.file)
    print(f"{asked.file.name}: {len(data):,} events of {data.n_users:,} users, {data.n_items:,} items")
    for name in asked.models:
        took = seconds(data, name, asked.params, asked.threads, asked.warm, asked.batches)
        print(f"{name} {' '.join(asked.params)}: {took:.2f} s an epoch", flush=True)


if __name__ == "__main__":
    main()
