"""train and predict on a Parquet file of events that memory does not hold: row group by row group."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import polars as pl

from recli.artifact import sha256_of
from recli.coding import Coding
from recli.errors import Exit, RecliError
from recli.interactions import Queries, encode
from recli.model import Run, configure
from recli.models import catalog
from recli.pipeline.companions import companion
from recli.pipeline.events import Source
from recli.pipeline.names import stem
from recli.pipeline.recommend import load_model, open_model
from recli.pipeline.step import Input, Output, Product, Step, perform
from recli.pipeline.train import product
from recli.pipeline.training import Training
from recli.schema import ITEM, KEYS, LABEL, RATING, SCORE, TIME, USER
from recli.scorers import Fielded
from recli.sources.rowgroups import RowGroups
from recli.streamed import Streamed

WINDOW = 1 << 20  # rows that are shuffled together


def train_stream(
    path: Path, source: Source, model_name: str, given: Mapping[str, Any], run: Run, output: Output, coding: Coding
) -> Path:
    """Fit one model of fields on all rows of a file, of which some are in memory at a time.

    Raises:
        RecliError: it makes no fields, or is no network (exit 2); the file is no Parquet (exit 3).
    """
    chosen = catalog.resolve(model_name)
    takes = getattr(chosen.cls, "takes", ())
    if not {"fields", "training"} <= set(takes):
        able = [name for name in catalog.CATALOG if {"fields", "training"} <= set(_takes(name))]
        message = f"{chosen.name} cannot be fitted on a stream"
        raise RecliError(Exit.USAGE, message, hint=f"those that can: {', '.join(able)}")
    model = configure(chosen.cls, {**chosen.preset, **given})
    run = replace(run, device=Training().on_device())
    groups = _groups(path, source)
    tables = {role: companion(role, None, source.companions.get(role)) for role in KEYS}
    known = {role: table for role, table in tables.items() if table is not None}
    own = {f"p.{name}": value for name, value in asdict(model).items()}
    params = {"on": "stream", "model": chosen.name, "seed": run.seed, "threads": run.threads, "device": run.device}
    params |= {**own, **source.params(), **coding.params()}
    usual = {f"p.{name}": value for name, value in asdict(configure(chosen.cls, chosen.preset)).items()}

    def work() -> Product:
        done: dict[str, Any] = {}
        frames = {role: table.table.frame for role, table in known.items()}
        data = Streamed.of(groups.rows, groups.schema, groups.read, groups.column, frames, coding, WINDOW)
        started = time.perf_counter()
        scorer = model.fit(data, replace(run, finished=done.update))
        seconds = time.perf_counter() - started
        task = replace(chosen, task=model.task)
        return product(scorer, data, task, ("train",), {"training": done}, [*known], seconds)

    step = Step(
        command="train",
        kind="model",
        name=stem(path),
        suffix=f".{chosen.name}.npz",
        params=params,
        defaults={"on": "stream", "seed": Run.seed, **usual},
        unnamed=("model", "threads", "device", *source.params()),
        inputs=[
            Input(role="source", path=path, sha256=sha256_of(path)),
            *(replace(table.inputs[0], role=role) for role, table in known.items()),
        ],
        modules=["recli.pipeline.stream", chosen.module],
    )
    return perform(step, output, work)


def _takes(name: str) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(catalog.resolve(name).cls, "takes", ())
    return found


def _groups(path: Path, source: Source) -> RowGroups:
    """The file, and what its columns are called here."""
    if not path.is_file():
        raise RecliError(Exit.IO, "no such file", where=path)
    options = source.options
    called = {"user_col": USER, "item_col": ITEM, "rating_col": RATING, "time_col": TIME}
    return RowGroups(path=path, names={getattr(options, n): c for n, c in called.items() if getattr(options, n, None)})


def _in_order(
    work: Callable[[int], pl.DataFrame], n: int, threads: int, begin: Callable[[], None]
) -> Iterator[pl.DataFrame]:
    """What ``work`` makes of 0 to n - 1, by so many threads, each of which begins with ``begin``; few are held."""
    with ThreadPoolExecutor(threads, initializer=begin) as pool:
        waiting: deque[Future[pl.DataFrame]] = deque()
        for number in range(n):
            waiting.append(pool.submit(work, number))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def predict_stream(path: Path, pairs: Path, source: Source, output: Output, threads: int) -> Path:
    """The scores of all rows of a file by a model of fields, a group of rows at a time for each thread.

    Raises:
        RecliError: it is no such model, or reads histories (exit 2); the file is no Parquet (exit 3).
    """
    artifact, groups = load_model(path), _groups(pairs, source)
    users, items, scorer = open_model(artifact)
    more = artifact.header.more
    if not isinstance(scorer, Fielded) or getattr(scorer, "history", False):
        hint = "without --stream histories and all models are at hand"
        raise RecliError(Exit.USAGE, f"{more['model']} does not score a stream", hint=hint)

    one_reads = Lock()

    def scored(group: int) -> pl.DataFrame:
        with one_reads:
            frame = groups.read(group)
        queries = Queries(
            user=encode(frame[USER], users),
            indptr=np.zeros(frame.height + 1, np.int64),
            item=np.empty(0, np.int32),
            context=frame,
        )
        scores = scorer.score_pairs(queries, encode(frame[ITEM], items))
        kept = [name for name in (USER, ITEM, RATING, LABEL) if name in frame.columns]
        return frame.select(kept).cast({USER: pl.String, ITEM: pl.String}).with_columns(pl.Series(SCORE, scores))

    def all_scored() -> Iterator[pl.DataFrame]:
        done, total = 0, sum(groups.rows)
        with scorer.together() as begin:
            for frame in _in_order(scored, len(groups.rows), threads, begin):
                yield frame
                done += frame.height
                output.progress(done, total, "rows")

    def work() -> Product:
        started = time.perf_counter()
        frame = pl.concat(list(all_scored()))
        facts = {name: more[name] for name in ("model", "task", "fit_on")}
        facts |= {"phase": "given", "pairs": frame.height, "fallbacks": 0, "fallen": {}, "unscored": 0}
        speed = frame.height / (time.perf_counter() - started)
        return Product(payload=frame, more=facts, summary=f"{frame.height:,} predictions, {speed:,.0f} a second")

    step = Step(
        command="predict",
        kind="preds",
        name=stem(path),
        suffix=".preds.parquet",
        params={"on": "stream", **source.params()},
        unnamed=tuple(source.params()),
        inputs=[
            Input(role="model", path=path, sha256=artifact.digest),
            Input(role="pairs", path=pairs, sha256=sha256_of(pairs)),
        ],
        modules=["recli.pipeline.stream", str(more["scorer"]["scorer"]).partition(":")[0]],
    )
    return perform(step, output, work)
