"""Steps in this process, as the commands would do them: a start of Python takes a second, and figures need none."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recli.artifact import load
from recli.cli.judging import judging
from recli.cli.recommend import request
from recli.errors import Exit, RecliError
from recli.model import Run
from recli.pipeline.evaluate import Result, plan
from recli.pipeline.events import Source
from recli.pipeline.filter import Filters
from recli.pipeline.recommend import recommend
from recli.pipeline.split import Strategy, split, split_given
from recli.pipeline.step import Output
from recli.pipeline.train import train

Rows = Iterable[Sequence[object]]


def table(path: Path, columns: str, rows: Rows) -> Path:
    """An atomic file: ``columns`` such as ``user_id:token rating:float``."""
    lines = ["\t".join(columns.split()), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def split_of(source: Path, **params: Any) -> Path:
    """A split beside its table."""
    output = Output(path=str(source.parent / "{name}.split.parquet"))
    return split(source, Source(), Filters(), Strategy(**params), output)


def parts(folder: Path, columns: str, **rows: Rows) -> Path:
    """A split whose parts are these rows; tables ``train.user`` and ``train.item`` in the folder belong to it."""
    files = {name: table(folder / f"{name}.inter", columns, rows_of) for name, rows_of in rows.items()}
    return split_given(files, Source(), Filters(), Output(path=str(folder / "w.split.parquet")))


def fitted(path: Path, model: str, fit_on: Sequence[str] = ("train",), **params: Any) -> Path:
    """A model beside its split."""
    output = Output(path=str(path.parent / f"{{name}}.{model}-{'-'.join(fit_on)}.npz"))
    return train(path, Source(), model, params, Run(), output, fit_on=fit_on)


def lists(model: Path, **options: Any) -> Path:
    """Its recommendations, beside it; the options are the command's."""
    name = "-".join(f"{key}={value}" for key, value in options.items() if key != "history")
    k = options.pop("k", 10)
    asked = replace(request(**options), k=k)
    return recommend(model, asked, Output(path=str(model.parent / f"{{name}}{name}.recs.parquet")))


def listed(recs: Path) -> dict[Any, list[str]]:
    """The items by user, or by user and query, best first."""
    frame = load(recs).frame()
    by = ["user_id", "query"] if "query" in frame.columns else ["user_id"]
    found: dict[Any, list[str]] = {}
    for row in frame.sort("rank").iter_rows(named=True):
        found.setdefault(tuple(row[name] for name in by) if len(by) > 1 else row["user_id"], []).append(row["item_id"])
    return found


def evaluate(path: Path, metrics: str, *, by: Iterable[str] = (), **options: Any) -> Result:
    """What ``recli evaluate PATH --metrics METRICS`` measures; the options are the command's."""
    own = set(inspect.signature(request).parameters)
    asked = judging(metrics=metrics, **{name: value for name, value in options.items() if name not in own})
    whom = request(**{name: value for name, value in options.items() if name in own})
    return plan(path, replace(asked, by=tuple(by), request=whom), Output()).result


def entry(path: Path, metric: str, **options: Any) -> dict[str, Any]:
    """What the JSON says of one metric."""
    found: dict[str, Any] = evaluate(path, metric, **options).document["metrics"][metric]
    return found


def values(path: Path, metrics: str, **options: Any) -> dict[str, float | None]:
    """The values by metric."""
    document = evaluate(path, metrics, **options).document
    return {name: one["value"] for name, one in document["metrics"].items()}


@contextmanager
def refused(code: Exit, *words: str) -> Iterator[None]:
    """What is refused, with that exit code, and all of these words in the message and the hint."""
    with pytest.raises(RecliError) as caught:
        yield
    said = f"{caught.value} {caught.value.hint}"
    assert caught.value.code is code, said
    assert all(word in said for word in words), said


def ndcg(items: Sequence[str], gains: dict[str, float], k: int) -> float:
    """Of one list, from the definition: gain / log2(place + 1), as a share of the best list's."""
    gained = sum(gains.get(item, 0.0) / log2(place + 2) for place, item in enumerate(items[:k]))
    best = sorted(gains.values(), reverse=True)[:k]
    return gained / sum(gain / log2(place + 2) for place, gain in enumerate(best))


def held_out(path: Path, part: str = "test") -> pl.DataFrame:
    """The rows of a part of a split."""
    return load(path).frame(part)


def mean(numbers: Iterable[float]) -> float:
    """Of at least one number."""
    found = list(numbers)
    return sum(found) / len(found)
