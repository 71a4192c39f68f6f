"""docs/leaderboard.md: every model of the catalog at its defaults, under the protocol of its task.

    python tests/leaderboard.py [--data FOLDER] [--work FOLDER] [--tasks ranking] [--models bpr,ease] [--jobs 2]

It runs the commands themselves, so many processes at once, each with one thread, and keeps their files in the work
folder: what is up to date there is not done again. A model whose figures are the same for two seeds is not run with a
third. A model that fails is named, and nothing is written. With --tasks the tables of the others stay, with --models
the lines of the others. The data are not part of the repository: FOLDER has MovieLens-100K as RecBole's atomic files,
in ml-100k, and Frappe as BARS parts and codes it, in frappe_x1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recli.models.catalog import CATALOG

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("RECLI_SHARED", ROOT.parent / "shared")) / "data"
BOARD = ROOT / "docs" / "leaderboard.md"
SEEDS = (2020, 2021, 2022)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What the models of a task are held to: the rows, how they are trained, what makes what is evaluated, the metrics.

    The first metric orders the table, the higher the better. In ``sources`` and ``split`` files stand below the data.
    """

    task: str
    title: str
    sources: tuple[str, ...]
    split: tuple[str, ...]
    train: tuple[str, ...] = ()
    make: tuple[str, ...]
    metrics: tuple[str, ...]
    about: str
    beside: tuple[str, ...] = ()  # models of another task that are held to it too


RATIO = ("--dialect", "recbole", "--strategy", "ratio", "--ratios", "0.8,0.1,0.1")
FRAPPE = ("frappe_x1/train.csv", "frappe_x1/valid.csv", "frappe_x1/test.csv")
# By the name of its folder. A task that is not here has no table yet.
PROTOCOLS: Mapping[str, Protocol] = {
    "ranking": Protocol(
        task="ranking",
        title="Ranking",
        sources=("ml-100k/ml-100k.inter", "ml-100k/ml-100k.item"),
        split=("ml-100k/ml-100k.inter", *RATIO, "--group-by", "user"),
        make=("recommend", "-k", "10"),
        metrics=("ndcg@10", "recall@10", "mrr@10"),
        about="MovieLens-100K, RecBole's own rows (8:1:1 by user, at random, seed 2020), test part: lists of ten, of\n"
        "all items but those that the user has in train or valid.",
    ),
    "sequential": Protocol(
        task="sequential",
        title="Sequential",
        sources=("ml-100k/ml-100k.inter",),
        split=("ml-100k/ml-100k.inter", "--strategy", "leave-one-out"),
        make=("recommend", "-k", "10"),
        metrics=("ndcg@10", "recall@10", "mrr@10"),
        about="MovieLens-100K, the last event of a user for test and the one before for valid: lists of ten, of all\n"
        "items but those that the user has in train or valid. `itemknn` knows no order.",
        beside=("itemknn",),
    ),
    "ctr": Protocol(
        task="ctr",
        title="Clicks: MovieLens-100K",
        sources=("ml-100k/ml-100k.inter", "ml-100k/ml-100k.user", "ml-100k/ml-100k.item"),
        split=("ml-100k/ml-100k.inter", *RATIO, "--group-by", "none", "--threshold", "rating=4"),
        train=("--columns", "age,gender,occupation,release_year,class"),
        make=("predict",),
        metrics=("auc", "logloss"),
        about="MovieLens-100K, RecBole's own rows (8:1:1, at random, seed 2020), test part: whether a rating is 4 or\n"
        "more, from the user, age, gender, occupation, the item, year and genres: the columns that RecBole loads.",
    ),
    "frappe": Protocol(
        task="ctr",
        title="Clicks: Frappe",
        sources=FRAPPE,
        split=(
            *("--strategy", "given", "--user-col", "user", "--item-col", "item"),
            *("--train", FRAPPE[0], "--valid", FRAPPE[1], "--test", FRAPPE[2]),
        ),
        make=("predict",),
        metrics=("auc", "logloss"),
        about="Frappe as BARS parts it (frappe_x1), test part: whether an app was used or drawn, from the user, the\n"
        "app and eight columns of the occasion. Of train the negatives were drawn anew by the same rule.",
    ),
}
ABOUT = """\
# Leaderboard

Every model of the catalog at its defaults, of which none was chosen by test (some of `libfm`, `rbm`, `rp3beta` and
`twotower` were by valid). `make leaderboard` makes this page with `split`, `train`, `recommend` and `evaluate`.
Networks stop by ndcg@10 of the valid part, or by auc where there are labels (patience 10), and keep the best epoch; the
others are fitted on train alone and do not look at valid.

± is the deviation over three seeds; where there is none, a second seed gave the same figures. Seconds are of the
processor, for the whole `train` process with one thread, its start included (the median of the seeds); peak memory is
that process's. Numbers are the floating-point ones in the model's file: what was learnt, without ids and histories."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one seed: the metrics in the protocol's order, and what training took."""

    values: tuple[float, ...]
    seconds: float
    mib: float
    numbers: int


def recli(folder: Path, *arguments: str) -> tuple[str, float, float]:
    """What a command prints, its processor's seconds and its peak memory in MiB.

    Raises:
        RuntimeError: it failed; the message is what it said.
    """
    command = [sys.executable, "-m", "recli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RECLI_NO_PROGRESS": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # as it has been waited for
        for file in (out, said):
            file.seek(0)
        if process.returncode:
            raise RuntimeError(f"recli {' '.join(arguments)}: {said.read().strip()}")
        return out.read().strip(), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def shown(folder: Path, file: str) -> dict[str, Any]:
    """The header of an artifact."""
    document: dict[str, Any] = json.loads(recli(folder, "show", file, "--json", "-n", "0")[0])
    return document


def numbers(model: Path) -> int:
    """The floating-point numbers that a model holds."""
    with np.load(model, allow_pickle=False) as arrays:
        held = [arrays[name] for name in arrays.files if name.startswith("scorer.")]
    return sum(array.size for array in held if array.dtype.kind == "f")


def outcome(folder: Path, split: str, protocol: Protocol, model: str, seed: int) -> Outcome:
    """Of a model with a seed, made or up to date."""
    name = f"{model}.{seed}"
    path, seconds, mib = recli(
        folder, "train", split, "--model", model, *protocol.train, "--seed", str(seed), "-j", "1", "-o", f"{name}.npz"
    )
    digest, took = shown(folder, path)["sha256"], folder / f"{name}.took.json"
    known = json.loads(took.read_text()) if took.exists() else {}
    if known.get("sha256") != digest:
        known = {"sha256": digest, "seconds": seconds, "mib": mib}
        took.write_text(json.dumps(known))
    lists = recli(folder, *protocol.make, path, "-j", "1", "-o", f"{name}.lists.parquet")[0]
    said = json.loads(recli(folder, "evaluate", lists, "--metrics", ",".join(protocol.metrics), "--json")[0])
    return Outcome(
        values=tuple(said["metrics"][metric]["value"] for metric in protocol.metrics),
        seconds=known["seconds"],
        mib=known["mib"],
        numbers=numbers(folder / path),
    )


def outcomes(folder: Path, split: str, protocol: Protocol, model: str) -> list[Outcome]:
    """Of a model with every seed, or with two where they make no difference."""
    made: list[Outcome] = []
    for seed in SEEDS:
        made.append(outcome(folder, split, protocol, model, seed))
        if len(made) == 2 and made[0].values == made[1].values:
            break
    print(f"{model}: {made[0].values[0]:.4f}", file=sys.stderr, flush=True)
    return made


def row(model: str, made: Sequence[Outcome]) -> str:
    """A line of the table."""
    columns = list(zip(*(one.values for one in made), strict=True))
    if len(made) == 2:  # a second seed made no difference
        values = [digits(column[0]) for column in columns]
    else:
        values = [f"{digits(statistics.mean(column))} ± {digits(statistics.stdev(column))}" for column in columns]
    seconds = statistics.median_low(one.seconds for one in made)
    cells = [f"{seconds:.1f}", f"{max(one.mib for one in made):.0f}", f"{made[0].numbers:,}"]
    return f"| {' | '.join([f'`{model}`', *values, *cells])} |"


def digits(value: float) -> str:
    """Four, without the zero before the point."""
    return f"{value:.4f}".removeprefix("0")


def table(task: str, lines: Mapping[str, str]) -> str:
    """A task's part of the page, from the lines of models, the best one first; at the end, who is not there."""
    protocol = PROTOCOLS[task]

    def first(model: str) -> float:
        return float(lines[model].split("|")[2].split()[0])

    heads = ["model", *protocol.metrics, "seconds", "peak MiB", "numbers"]
    rows = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    rows += [lines[model] for model in sorted(lines, key=first, reverse=True)]
    missing = [f"`{model}`" for model in sorted(models_of(task)) if model not in lines]
    after = ["", f"Not run yet: {', '.join(missing)}."] if missing else []
    return "\n".join([f"## {protocol.title}", "", protocol.about, "", *rows, *after])


def lines_of(part: str) -> dict[str, str]:
    """The lines of a table by their models."""
    return {line.split("`")[1]: line for line in part.splitlines() if line.startswith("| `")}


def board(data: Path, work: Path, task: str, models: Sequence[str], jobs: int) -> dict[str, list[Outcome]]:
    """Every model's outcomes.

    Raises:
        RuntimeError: models failed; the message names them.
    """
    protocol, folder = PROTOCOLS[task], work / task
    folder.mkdir(parents=True, exist_ok=True)
    own = [str((data / word).resolve()) if word in protocol.sources else word for word in protocol.split]
    split = recli(folder, "split", *own, "-o", f"{task}.split.parquet")[0]

    def one(model: str) -> list[Outcome] | RuntimeError:
        try:
            return outcomes(folder, split, protocol, model)
        except RuntimeError as error:
            return error

    with ThreadPoolExecutor(jobs) as pool:
        made = dict(zip(models, pool.map(one, models), strict=True))
    failed = [f"{model}: {found}" for model, found in made.items() if isinstance(found, RuntimeError)]
    if failed:
        raise RuntimeError("\n".join(failed))
    return {model: found for model, found in made.items() if not isinstance(found, RuntimeError)}


def models_of(name: str) -> list[str]:
    """The models that a protocol is for; networks, which take the longest, first."""
    from recli.models import catalog

    protocol = PROTOCOLS[name]
    named = [*(model for model, entry in CATALOG.items() if entry.task == protocol.task), *protocol.beside]
    return sorted(named, key=lambda model: "training" not in getattr(catalog.resolve(model).cls, "takes", ()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--work", type=Path, default=ROOT / ".leaderboard")
    parser.add_argument("--tasks", default=",".join(PROTOCOLS), help="the tables to make")
    parser.add_argument("--models", help="make only the lines of these anew; the others stay")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    for source in [name for protocol in PROTOCOLS.values() for name in protocol.sources]:
        if not (asked.data / source).exists():
            sys.exit(
                f"leaderboard: no {source} in {asked.data}, and the data are not part of this repository: --data names "
                "a folder that has them, ml-100k as RecBole's atomic files and frappe_x1 as BARS parts it"
            )
    tables = tables_of(BOARD.read_text()) if BOARD.exists() else {}
    for name in asked.tasks.split(","):
        models = [model for model in models_of(name) if not asked.models or model in asked.models.split(",")]
        try:
            made = board(asked.data, asked.work, name, models, asked.jobs)
        except RuntimeError as error:
            sys.exit(f"leaderboard: {error}")
        kept = lines_of(tables[name]) if asked.models and name in tables else {}
        tables[name] = table(name, kept | {model: row(model, found) for model, found in made.items()})
    page = "\n\n".join([ABOUT, *(tables[name] for name in PROTOCOLS if name in tables)]) + "\n"
    BOARD.parent.mkdir(exist_ok=True)
    BOARD.write_text(page)


def tables_of(page: str) -> dict[str, str]:
    """The tables of a page that was made before, by the names of their protocols."""
    names = {protocol.title: name for name, protocol in PROTOCOLS.items()}
    parts = [part.strip() for part in page.split("\n## ")[1:]]
    return {names[part.partition("\n")[0]]: f"## {part}" for part in parts}


if __name__ == "__main__":
    main()
