"""Seconds of an epoch of networks that read sequences: ``python tests/benchmarks/sequences.py FILE MODEL …``.

FILE is in time order within a user, in any format that its name tells, or ``user item`` lines (.txt). Of every user all
but the last two events are trained on, as after a split by leave-one-out. An epoch is timed after ``--warm`` batches of
another, or, with ``--batches``, so many of its batches are, and the rest is reckoned from them. With ``--peers`` some
of RecBole's steps are timed between two such epochs, at its defaults: histories of 50, 2,048 targets, the same softmax.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from oldnames import RECBOLE

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

    def timed(self, places, size, **how):
        began, events, number = 0.0, 0, 0
        for number, batch in enumerate(whole(self, places, size, **how)):
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


# Says how many steps an epoch has and the seconds of each of the first few, the first left out.
PEER = (
    RECBOLE
    + """
import json, sys, time
import torch
folder, dataset, name, number, steps = sys.argv[1:]
torch.set_num_threads(int(number))
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, init_seed
sys.argv = sys.argv[:1]
config = Config(model=name, dataset=dataset, config_dict={"data_path": folder, "gpu_id": "", "use_gpu": False,
    "show_progress": False, "state": "ERROR", "checkpoint_dir": ".", "train_neg_sample_args": None, "loss_type": "CE",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "MAX_ITEM_LIST_LENGTH": 50, "train_batch_size": 2048,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}})
init_seed(config["seed"], True)
train, _, _ = data_preparation(config, create_dataset(config))
model = get_model(name)(config, train._dataset).train()
optimizer, took = torch.optim.Adam(model.parameters(), lr=1e-3), []
for batch in train:
    started = time.perf_counter()
    optimizer.zero_grad()
    model.calculate_loss(batch).backward()
    optimizer.step()
    took.append(time.perf_counter() - started)
    if len(took) > int(steps):
        break
print(json.dumps([len(train), took[1:]]))
"""
)
THEIRS = {"sasrec": "SASRec", "gru4rec": "GRU4Rec", "narm": "NARM", "caser": "Caser", "bert4rec": "BERT4Rec"}


def theirs(python: str, file: Path, name: str, threads: int, steps: int) -> float:
    """Of RecBole's epoch, from the median of its first steps."""
    with tempfile.TemporaryDirectory() as own:  # where it writes its logs
        given = [str(file.parent.parent), file.parent.name, THEIRS[name], str(threads), str(steps)]
        said = subprocess.run([python, "-c", PEER, *given], cwd=own, capture_output=True, text=True, check=True).stdout
    number, took = json.loads(said.splitlines()[-1])
    return float(number * statistics.median(took))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("-p", dest="params", action="append", default=[])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--warm", type=int, default=5)
    parser.add_argument("--batches", type=int)
    parser.add_argument("--peers", help="the Python that has RecBole 1.2.1 (pandas 2.2); FILE is NAME/NAME.inter")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    data = interactions(asked.file)
    print(f"{asked.file.name}: {len(data):,} events of {data.n_users:,} users, {data.n_items:,} items")
    for name in asked.models:
        took = seconds(data, name, asked.params, asked.threads, asked.warm, asked.batches)
        print(f"{name} {' '.join(asked.params)}: {took:.2f} s an epoch", flush=True)
        for _ in range(asked.rounds if asked.peers else 0):
            other = theirs(asked.peers, asked.file, name, asked.threads, 5)
            after = seconds(data, name, asked.params, asked.threads, asked.warm, asked.batches)
            print(f"{name}: RecBole {other:,.0f} s, recli {after:.2f}: {2 * other / (took + after):.1f} times as fast")
            took = after


if __name__ == "__main__":
    main()
