"""Epochs of recli's models of fields in turn with RecBole 1.2.1's, on MovieLens-100K.

    python tests/benchmarks/contextual.py --peers PYTHON [--models lr,fm,deepfm] [--rounds 3] [--threads 1]

Both learn whether a rating is 4 or more from RecBole's columns of ml-100k, from 80,000 rows, in batches of 2,048, at
their defaults, which are the same. RecBole runs in the interpreter that --peers names (pandas 2.2), with the names put
back that it needs and current numpy and scipy have not. The median of the rounds' seconds an epoch, without validation,
the first not counted, and the median of the rounds' ratios; each waits while the other works.
"""

from __future__ import annotations

import argparse
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
from oldnames import RECBOLE

from recli.coding import Coding
from recli.interactions import Interactions
from recli.model import Run, configure
from recli.models import catalog
from recli.pipeline.events import Source, open_events
from recli.sources import Options

SHARED = Path(os.environ.get("RECLI_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
THEIRS = {"lr": "LR", "fm": "FM", "deepfm": "DeepFM", "widedeep": "WideDeep", "nfm": "NFM", "dcnv2": "DCNV2",
          "xdeepfm": "xDeepFM", "autoint": "AutoInt"}  # fmt: skip
COLUMNS = ("age", "gender", "occupation", "release_year", "class")
EPOCHS = 3

# Says when it is ready, then does an epoch for each line, and answers with its seconds.
PEER = (
    RECBOLE
    + """
import sys, time
import torch
folder, name, number = sys.argv[1:]
torch.set_num_threads(int(number))
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed
sys.argv = sys.argv[:1]
config = Config(model=name, dataset="ml-100k", config_dict={"data_path": folder, "gpu_id": "", "use_gpu": False,
    "show_progress": False, "state": "ERROR", "checkpoint_dir": "."})
init_seed(config["seed"], True)
dataset = create_dataset(config)
train, _, _ = data_preparation(config, dataset)
model = get_model(config["model"])(config, train._dataset)
trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
print(len(train._dataset), flush=True)
for epoch, _ in enumerate(sys.stdin):
    started = time.perf_counter()
    trainer._train_epoch(train, epoch, show_progress=False)
    print(time.perf_counter() - started, flush=True)
"""
)


def ours(data: Interactions, name: str, threads: int) -> list[float]:
    """The seconds of the epochs behind the first."""
    chosen, ends = catalog.resolve(name), []
    model: Any = configure(chosen.cls, {**chosen.preset, "epochs": 1 + EPOCHS})
    model.fit(data, Run(threads=threads, progress=lambda *_: ends.append(time.perf_counter())))
    return np.diff(ends).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--models", default=",".join(THEIRS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    folder = SHARED / "ml-100k"
    tables = {role: open_events(folder / f"ml-100k.{role}", Source(options=Options(kind=role))).table.frame
              for role in ("user", "item")}  # fmt: skip
    events = open_events(folder / "ml-100k.inter", Source()).table.frame
    events = events.with_columns((pl.col("rating") >= 4).cast(pl.Float64).alias("label"))[:80_000]
    data = Interactions.of(events, tables, Coding(columns=COLUMNS))
    for name in asked.models.split(","):
        command = [asked.peers, "-c", PEER, str(SHARED), THEIRS[name], str(asked.threads)]
        with (
            tempfile.TemporaryDirectory() as own,  # RecBole writes its logs where it stands
            subprocess.Popen(command, cwd=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer,
        ):
            assert peer.stdin is not None
            assert peer.stdout is not None
            found = peer.stdout.readline()
            if not found:
                sys.exit(f"{THEIRS[name]} did not start")

            def theirs(peer: Any = peer) -> float:
                peer.stdin.write("\n")
                peer.stdin.flush()
                return float(peer.stdout.readline())

            theirs()
            pairs = []
            for _ in range(asked.rounds):
                seconds = statistics.median(ours(data, name, asked.threads))
                pairs.append((seconds, statistics.median(theirs() for _ in range(EPOCHS))))
            peer.stdin.close()
        mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{name}: recli {mine:.3f} s, RecBole {other:.3f} s, {ratio:.1f} times as fast", flush=True)


if __name__ == "__main__":
    main()
