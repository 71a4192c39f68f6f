"""The predictions of a model, for any pairs."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from recli.artifact import Artifact, load
from recli.pipeline.predict import predict
from recli.pipeline.recommend import Request
from recli.pipeline.step import Output
from tests.cli.evaluating import fitted, split_of
from tests.conftest import ROOT

numbers = count()


class World(NamedTuple):
    folder: Path
    split: Path
    baseline: Path
    itemknn: Path
    preds: Path  # of baseline
    ranked: Path  # of itemknn


def made(folder: Path) -> World:
    """The sample data, split, models of it, and their predictions of the test rows."""
    (folder / "sample.inter").write_bytes((ROOT / "sample_data" / "sample.inter").read_bytes())
    split = split_of(folder / "sample.inter")
    models = [fitted(split, name) for name in ("baseline", "itemknn")]
    preds = [predict(path, None, Request(), Output(path=str(folder / "{name}.preds.parquet"))) for path in models]
    return World(folder, split, *models, *preds)


def artifact(model: Path, rows: Sequence[Sequence[str]] | Path | None = None, **options: Any) -> Artifact:
    """The predictions of a model, for these (user, item) or as the options say."""
    path = model.parent / f"asked-{next(numbers)}.csv"
    if rows is not None and not isinstance(rows, Path):
        pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row").write_csv(path)
        rows = path
    return load(predict(model, rows, Request(**options), Output(path=str(path.with_suffix(".preds.parquet")))))


def predicted(model: Path, rows: Sequence[Sequence[str]] | Path | None = None, **options: Any) -> Any:
    """Their table and their header."""
    found = artifact(model, rows, **options)
    return found.frame(), found.header
