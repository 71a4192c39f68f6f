"""Models of what comes next: which history they are asked with, and histories typed by hand."""

from pathlib import Path

import pytest

from recli.artifact import load
from recli.model import Run
from recli.pipeline.events import Source
from recli.pipeline.step import Output
from recli.pipeline.train import train
from recli.pipeline.training import Training
from tests.cli.evaluating import evaluate, fitted, listed, lists, split_of, table

TIMED = "user_id:token item_id:token timestamp:float"
LEAVE = {"name": "leave-one-out", "params": {"order": "time"}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Everybody goes once round a ring of 9 items, 7 steps far; the rows are in no order."""
    rows = [(f"u{u}", f"i{(u + n) % 9}", n) for n in (4, 1, 6, 0, 3, 2, 5) for u in range(9)]
    return fitted(split_of(table(tmp_path / "ring.inter", TIMED, rows), **LEAVE), "markov")


@pytest.mark.parametrize(("phase", "step"), [("valid", 5), ("test", 6)])
def test_the_validation_item_is_history_at_test(model: Path, phase: str, step: int) -> None:
    first = {user: items[0] for user, items in listed(lists(model, phase=phase, k=1)).items()}
    assert first == {f"u{u}": f"i{(u + step) % 9}" for u in range(9)}
    assert evaluate(model, "hit@1", phase=phase).document["metrics"]["hit@1"]["value"] == 1


def test_what_was_seen_is_listed_only_if_allowed(model: Path) -> None:
    assert "i0" not in listed(lists(model, phase="test", k=9))["u0"]
    assert len(listed(lists(model, phase="test", k=9, allow_seen=True))["u0"]) == 9


def test_a_new_user_is_served_from_a_history_in_its_order(model: Path, tmp_path: Path) -> None:
    rows = [("new", "i7", 3), ("new", "i2", 1), ("other", "i5", 2), ("strange", "x", 1)]
    found = listed(lists(model, history=table(tmp_path / "given.inter", TIMED, rows), k=1))
    assert found == {"new": ["i8"], "other": ["i6"]}
    untimed = table(tmp_path / "typed.inter", "user_id:token item_id:token", [("new", "i7"), ("new", "i2")])
    assert listed(lists(model, history=untimed, k=1)) == {"new": ["i3"]}


def test_rolling_asks_after_every_row(tmp_path: Path) -> None:
    rows = [(f"u{u}", f"i{(u + n) % 9}", n) for n in range(7) for u in range(9)]
    ratios = {"ratios": [0.4, 0.0, 0.6], "group_by": "user", "order": "time"}
    split = split_of(table(tmp_path / "ring.inter", TIMED, rows), name="ratio", params=ratios)
    result = evaluate(fitted(split, "markov"), "hit@1", rolling=True).document["metrics"]["hit@1"]
    assert result["value"] == 1


def test_validation_may_list_what_was_seen(tmp_path: Path) -> None:
    """Everybody takes one item again and again: where it is masked, nothing is right."""
    rows = [(f"u{u}", f"i{u % 3}", n) for n in range(8) for u in range(9)]
    split = split_of(table(tmp_path / "again.inter", TIMED, rows), **LEAVE)
    for allow_seen, expected in ((True, 1.0), (None, 0.0)):
        asked = Training(valid_metric="hit@1", device="cpu", allow_seen=allow_seen)
        output = Output(path=str(tmp_path / f"{allow_seen}.npz"))
        model = train(split, Source(), "gru4rec", {"epochs": 60, "learning_rate": 0.01}, Run(), output, training=asked)
        assert load(model).header.more["training"]["hit@1"] == expected
        if allow_seen:
            assert evaluate(model, "hit@1", phase="valid", allow_seen=True).document["metrics"]["hit@1"]["value"] == 1
