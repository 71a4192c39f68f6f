"""Epochs, evaluations and starts of recli's networks in turn with RecBole 1.2.1's, on MovieLens-1M.

    python tests/benchmarks/recbole.py [--peers PYTHON] [--tasks bpr,neumf] [--rounds 3]

Both take the same rows (`split --dialect recbole`, 8:1:1 by user, seed 2020), batches of 2,048, embeddings of 64 and
two threads, and are otherwise at their defaults, which are the same; both draw one negative for an event and reject
what the user has. RecBole runs in the interpreter that --peers names (torch 2.13, setuptools below 81), with four names
put back that it needs and current numpy, scipy and torch have not.

epoch: an epoch of training, without validation; in turn, after one of each that is not counted. Of LightGCN, RecBole
does the first 40 of an epoch's 394 steps, scaled to the whole. evaluate: the lists of all users of the valid part among
all items, without what train has, and recall, MRR, NDCG, hit and precision at 10; with each one's NDCG, both after the
same number of epochs. start: from the command to the end of its first step; recli's is `train` on a split, which
then writes the model, RecBole's reads the .inter and splits it. The median seconds of each, and the median of the
rounds' ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from oldnames import RECBOLE

from recli.interactions import Interactions
from recli.kernels import threads
from recli.metrics import METRICS, parse
from recli.model import Run
from recli.models.autoencoder.multivae import MultiVAE
from recli.models.graph.lightgcn import LightGCN
from recli.models.neural.neumf import NeuMF
from recli.pipeline.evaluate.measure import values_of
from recli.pipeline.events import Source, open_events
from recli.pipeline.validation import Validator, validator
from recli.ranking import top_k

SHARED = Path(os.environ.get("RECLI_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
THREADS = 2
NAMES = "ndcg@10,recall@10,mrr@10,hit@10,precision@10"


@dataclass(frozen=True, kw_only=True)
class Task:
    """recli's model and its name, RecBole's, and of how many steps RecBole's part of an epoch is."""

    model: Any
    name: str
    theirs: str
    steps: int | None = None
    evaluate: bool = True


TASKS = {
    "bpr": Task(model=LightGCN(n_layers=0, reg_weight=0.0), name="bpr-torch", theirs="BPR"),
    "neumf": Task(model=NeuMF(), name="neumf", theirs="NeuMF"),
    "multivae": Task(model=MultiVAE(), name="multivae", theirs="MultiVAE"),
    "lightgcn": Task(model=LightGCN(), name="lightgcn", theirs="LightGCN", steps=40, evaluate=False),
}

# Says when it has a model, then does what it is told in a line, and answers with the seconds and what it found.
PEER = (
    RECBOLE
    + """
import itertools, json, sys, time
import torch
from recbole.quick_start.quick_start import *
folder, name, number = sys.argv[1:]
torch.set_num_threads(int(number))
given = {"data_path": folder, "load_col": {"inter": ["user_id", "item_id"]}, "gpu_id": "", "use_gpu": False,
         "show_progress": False, "state": "ERROR", "checkpoint_dir": folder}
sys.argv = sys.argv[:1]
config = Config(model=name, dataset="ml-1m", config_dict=given)
init_seed(config["seed"], config["reproducibility"])
train, valid, test = data_preparation(config, create_dataset(config))
init_seed(config["seed"], config["reproducibility"])
model = get_model(name)(config, train._dataset).to(config["device"])
trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)

class Part:
    shuffle = False
    def __init__(self, steps):
        self.steps = steps
    def __iter__(self):
        return itertools.islice(train, self.steps)

print(json.dumps({"steps": len(train), "rows": [len(train._dataset), len(valid._dataset)]}), flush=True)
for line in sys.stdin:
    what, steps = line.split()
    began = time.perf_counter()
    said = {}
    if what == "epoch":
        trainer._train_epoch(train if steps == "all" else Part(int(steps)), 0)
    else:
        said = trainer.evaluate(valid, load_best_model=False)
    print(json.dumps({"seconds": time.perf_counter() - began, **{k: float(v) for k, v in said.items()}}), flush=True)
"""
)


class Peer:
    """RecBole in a process of its own, which does nothing until it is asked."""

    def __init__(self, python: str, folder: Path, name: str) -> None:
        command = [python, "-W", "ignore", "-c", PEER, str(folder), name, str(THREADS)]
        pipe = subprocess.PIPE
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=folder)
        self.about = self._answer()

    def __call__(self, what: str, steps: int | None = None) -> dict[str, float]:
        """Seconds, scaled to the whole, and what it found."""
        print(what, steps or "all", file=self.process.stdin, flush=True)
        answer = self._answer()
        return {**answer, "seconds": answer["seconds"] * (self.about["steps"] / steps if steps else 1)}

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self.process.communicate()


@dataclass(frozen=True)
class Data:
    """The split, its train part, and what is held out."""

    path: Path
    train: Interactions
    held_out: Validator

    @classmethod
    def of(cls, folder: Path) -> "Data":
        """Of MovieLens-1M, which is put where RecBole looks for it as well."""
        (folder / "ml-1m").mkdir()
        (folder / "ml-1m" / "ml-1m.inter").symlink_to(SHARED / "ml-1m" / "ml-1m.inter")
        command = [sys.executable, "-m", "recli", "split", "ml-1m/ml-1m.inter", "--dialect", "recbole", "-q"]
        path = folder / subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
        events = open_events(path, Source())
        train = Interactions.of(events.part("train"))
        return cls(path, train, validator(events, train, "ndcg@10"))

    def figures(self, scorer: Any) -> Mapping[Any, float | None]:
        """Every metric of the lists of the valid part."""
        audience, truth = self.held_out.audience, self.held_out.truth
        codes = np.full((len(audience), 10), -1, np.int32)
        for block in audience.blocks():
            codes[block.rows], _ = top_k(scorer, block.queries, 10, seen=block.seen)
        found = values_of(codes, truth.all, truth.facts, parse(NAMES), METRICS)
        return {str(wanted): one.value for wanted, one in found.items()}


def line(what: str, times: list[tuple[float, float]], *more: object) -> None:
    """The medians of both, and of the ratios."""
    own, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(b / a for a, b in times)
    print(what, f"{own:.3g}", f"{theirs:.3g}", f"{ratio:.1f}", *more, sep="\t", flush=True)


def epochs(task: Task, data: Data, peer: Peer, rounds: int) -> Any:
    """The line of the epochs; what recli's yield."""
    times = []
    mark = time.perf_counter()

    def log(epoch: int, values: Mapping[str, float]) -> None:
        nonlocal mark
        own = time.perf_counter() - mark
        times.append((own, peer("epoch", task.steps)["seconds"]))
        mark = time.perf_counter()

    scorer = replace(task.model, epochs=1 + rounds).fit(data.train, Run(threads=THREADS, log=log))
    part = f"{task.steps} of {peer.about['steps']} steps" if task.steps else ""
    line(f"{task.name} epoch", times[1:], "", "", part)
    return scorer


def evaluations(task: Task, data: Data, peer: Peer, scorer: Any, rounds: int) -> None:
    """The line of the evaluations."""
    times = []
    with threads(THREADS):
        for _ in range(1 + rounds):
            began = time.perf_counter()
            own = data.figures(scorer)
            seconds = time.perf_counter() - began
            said = peer("evaluate")
            times.append((seconds, said["seconds"]))
    line(f"{task.name} evaluate", times[1:], f"{own['ndcg@10']:.4f}", f"{said['ndcg@10']:.4f}")


def starts(task: Task, data: Data, peer: Callable[[], Peer], rounds: int) -> None:
    """The line of the starts."""
    command = [sys.executable, "-m", "recli", "train", str(data.path), "--model", task.name, "-q", "--force"]
    command += ["--valid-metric", "none", "--time-budget", "0.001s", "--threads", str(THREADS)]
    times = []
    for _ in range(1 + rounds):
        began = time.perf_counter()
        subprocess.run(command, cwd=data.path.parent, check=True, capture_output=True)
        own = time.perf_counter() - began
        other = peer()
        other("epoch", 1)
        times.append((own, time.perf_counter() - other.began))
        other.close()
    line(f"{task.name} start", times[1:])


def main(python: str, tasks: list[str], what: list[str], rounds: int) -> None:
    """Measure, and print."""
    print("task", "recli", "RecBole", "ratio", "NDCG@10 recli", "RecBole", "RecBole's part", sep="\t")
    with tempfile.TemporaryDirectory() as folder:
        data = Data.of(Path(folder))
        for name in tasks:
            task = TASKS[name]
            if "epoch" in what:
                peer = Peer(python, Path(folder), task.theirs)
                assert peer.about["rows"][0] == len(data.train), peer.about
                scorer = epochs(task, data, peer, rounds)
                if "evaluate" in what and task.evaluate:
                    evaluations(task, data, peer, scorer, rounds)
                peer.close()
            if "start" in what:
                starts(task, data, lambda theirs=task.theirs: Peer(python, Path(folder), theirs), rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--what", default="epoch,evaluate,start")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    main(asked.peers, asked.tasks.split(","), asked.what.split(","), asked.rounds)
