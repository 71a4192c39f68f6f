"""Sessions: by a pause, by a column, and split as a whole."""

import polars as pl
import pytest

from recli import sessions
from recli.errors import Exit, RecliError
from recli.splits import by_time
from tests.cli.evaluating import held_out, split_of, table

COLUMNS = ["user_id", "item_id", "timestamp"]


def events(*rows: tuple[str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def test_a_longer_pause_begins_a_session() -> None:
    rows = [("u", "a", 5000.0), ("v", "b", 100.0), ("u", "c", 0.0), ("u", "d", 1800.0), ("u", "e", 3601.0)]
    assert sessions.by_gap(events(*rows), 1800)["user_id"].to_list() == ["u:1", "v:0", "u:0", "u:0", "u:1"]
    milliseconds = [(user, item, 1.6e12 + 1000 * time) for user, item, time in rows]
    assert sessions.by_gap(events(*milliseconds), 1800)["user_id"].to_list() == ["u:1", "v:0", "u:0", "u:0", "u:1"]


def test_a_column_tells_a_users_sessions_apart() -> None:
    frame = events(("u", "a", 1.0), ("u", "b", 2.0), ("v", "c", 3.0)).with_columns(visit=pl.Series(["x", "y", "x"]))
    assert sessions.by_column(frame, "visit")["user_id"].to_list() == ["u:x", "u:y", "v:x"]
    with pytest.raises(RecliError, match="--session-col visits: no such column") as caught:
        sessions.by_column(frame, "visits")
    assert caught.value.code == Exit.USAGE


def test_without_times_there_is_no_pause() -> None:
    with pytest.raises(RecliError, match="no timestamp to cut sessions by") as caught:
        sessions.by_gap(events(("u", "a", 1.0)).drop("timestamp"), 60)
    assert caught.value.code == Exit.DATA


def test_a_cut_through_time_parts_no_session() -> None:
    frame = events(*[(f"s{s}", f"i{n}", float(10 * s + 4 * n)) for n in range(5) for s in range(10)])
    labels = sessions.whole(frame, lambda ends: by_time(ends, at=["0.8", "0.9"]).split)
    of_session = frame.with_columns(split=labels).group_by("user_id").agg(pl.col("split").unique())
    assert (of_session["split"].list.len() == 1).all()
    assert dict(of_session.explode("split").rows()) == {
        f"s{s}": "train" if s < 8 else "valid" if s == 8 else "test" for s in range(10)
    }


def test_split_cuts_sessions_and_keeps_them_whole(tmp_path) -> None:
    from recli.pipeline.split import Sessions

    rows = [("u", f"i{n}", 10_000 * (n // 3) + n) for n in range(30)]
    source = table(tmp_path / "visits.inter", "user_id:token item_id:token timestamp:float", rows)
    split = split_of(source, name="time", params={"at": ["0.8"]}, sessions=Sessions(gap=1800.0))
    assert held_out(split, "test")["user_id"].unique().sort().to_list() == ["u:8", "u:9"]
    assert held_out(split, "test")["item_id"].to_list() == [f"i{n}" for n in range(24, 30)]
