"""`--relevant`: the rows that a condition takes, and those that are none."""

from pathlib import Path

import pytest

from recli.cli.judging import judging
from recli.errors import Exit
from tests.cli.evaluating import entry, refused, table

NUMBERS = [3.0, 4.0, 4.5, 5.0]
TEXTS = ["red", "Red", "", "a b", "4"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("n>=4", 3),
        (" n > 4 ", 2),
        ("n<4.5", 2),
        ("n<=4.5", 3),
        ("n==4", 1),
        ("n=4", 1),
        ("n!=4", 3),
        ("n>=-1e3", 4),
        ("tag==red", 1),
        ("tag=a b", 1),
        ("tag!=red", 3),  # not the empty one
        ("tag==4", 1),
        ("user_id!=n0", 8),
    ],
)
def test_a_condition_takes_the_rows_it_says(tmp_path: Path, condition: str, expected: int) -> None:
    """A user a row, so that the users who stay are the rows that hold."""
    column = condition.replace("!", " ").replace("=", " ").replace("<", " ").replace(">", " ").split()[0]
    rows = [(f"n{i}", "x", n, "") for i, n in enumerate(NUMBERS)] if column != "tag" else []
    rows += [(f"t{i}", "x", 0, text) for i, text in enumerate(TEXTS)] if column != "n" else []
    truth = table(tmp_path / "t.inter", "user_id:token item_id:token n:float tag:token", rows)
    found = table(tmp_path / "l.inter", "user_id:token item_id:token", [(row[0], "x") for row in rows])
    one = entry(found, "recall@1", truth=truth, relevant=condition)
    assert (one["users"], one["users_without_relevant"]) == (expected, len(rows) - expected)


@pytest.mark.parametrize("condition", ["", " ", "rating", "rating>", ">=4", "4", "rating>= ", "tag==", "n===4"])
def test_a_condition_of_another_form(condition: str) -> None:
    with refused(Exit.USAGE, repr(condition), "such as 'rating>=4', in quotes"):
        judging(relevant=condition)


def test_a_condition_on_several_values_a_row(tmp_path: Path) -> None:
    truth = table(tmp_path / "t.inter", "user_id:token item_id:token tags:token_seq", [("a", "x", "p q")])
    with refused(Exit.USAGE, "tags", "several"):
        entry(truth, "recall@1", truth=truth, relevant="tags==p")
