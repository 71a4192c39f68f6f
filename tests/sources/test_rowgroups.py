"""Parquet read group by group."""

from pathlib import Path

import polars as pl
import pytest

from recli.sources.rowgroups import RowGroups


@pytest.fixture
def events() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "who": ["u1", "u2", "u1", None, "u3"],
            "item_id": [7, 8, 7, 9, None],
            "place": ["a", None, "b", "b", "c"],
            "kind": pl.Series(["x", "y", "x", "z", None], dtype=pl.Categorical),
            "label": ["1", "0", "1", "1", "0"],
            "hour": [1.5, 2.5, None, 4.0, 5.0],
        }
    )


def test_groups_hold_the_text_and_the_numbers_of_the_file(events: pl.DataFrame, tmp_path: Path) -> None:
    events.write_parquet(tmp_path / "log.parquet", row_group_size=2)
    groups = RowGroups(path=tmp_path / "log.parquet", names={"who": "user_id"})
    assert groups.rows == [2, 2, 1]
    parts = [groups.read(group) for group in range(3)]
    text = ["user_id", "item_id", "place", "kind"]
    found = pl.concat([part.with_columns(pl.col(text).cast(pl.String)) for part in parts])
    expected = events.rename({"who": "user_id"}).with_columns(pl.col(text).cast(pl.String), pl.col("label").cast(float))
    assert found.equals(expected)
    assert dict(groups.schema) == dict(expected.schema)
    assert isinstance(parts[0]["user_id"].dtype, pl.Enum)


def test_a_column_is_what_stands_in_all_groups_and_how_often(events: pl.DataFrame, tmp_path: Path) -> None:
    events.write_parquet(tmp_path / "log.parquet", row_group_size=2)
    groups = RowGroups(path=tmp_path / "log.parquet", names={"who": "user_id"})
    ((values, counts),) = groups.column("place")
    assert dict(zip(values.to_list(), counts.tolist(), strict=True)) == {"a": 1, "b": 2, "c": 1, None: 1}
    numbers = [values.to_list() for values, _ in groups.column("hour")]
    assert [len(part) for part in numbers] == groups.rows
    assert [number for part in numbers for number in part] == events["hour"].to_list()
