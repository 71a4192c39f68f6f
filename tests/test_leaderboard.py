"""The leaderboard has every model of its tasks, and its table is made as it says."""

import re

import pytest

from tests.leaderboard import BOARD, PROTOCOLS, Outcome, lines_of, models_of, row, table, tables_of


def rows(page: str, task: str) -> list[list[str]]:
    """The cells of the table of a task."""
    part = re.search(rf"^## {PROTOCOLS[task].title}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert part, f"no table of {task}"
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in part[1].splitlines() if line.startswith("| `")]


MADE = [task for task, protocol in PROTOCOLS.items() if f"## {protocol.title}\n" in BOARD.read_text()]


def test_the_page_has_a_table() -> None:
    assert "ranking" in MADE  # that of a new protocol stands there once `make leaderboard` has made it


@pytest.mark.parametrize("task", MADE)
def test_every_model_of_the_task_has_a_row_and_no_other(task: str) -> None:
    part = tables_of(BOARD.read_text())[task]
    missing = re.findall("`([^`]+)`", part.partition("Not run yet: ")[2])
    assert sorted([*lines_of(part), *missing]) == sorted(models_of(task))
    assert not missing or task != "ranking"


@pytest.mark.parametrize("task", MADE)
def test_the_best_model_is_the_first(task: str) -> None:
    first = [float(cells[1].split()[0]) for cells in rows(BOARD.read_text(), task)]
    assert first == sorted(first, reverse=True)


def outcome(*values: float, seconds: float = 1.0) -> Outcome:
    return Outcome(values=values, seconds=seconds, mib=200.4, numbers=1200)


def test_a_row_is_the_mean_and_the_deviation_of_the_seeds_or_one_where_they_make_no_difference() -> None:
    drawn = [outcome(0.1, 0.2, 0.3), outcome(0.2, 0.2, 0.4, seconds=9), outcome(0.3, 0.2, 0.5, seconds=2)]
    made = {"drawn": drawn, "fixed": [outcome(1.0, 0.5, 0.25)] * 2}
    page = table("ranking", {model: row(model, found) for model, found in made.items()})
    assert "Not run yet: `admmslim`, `als`, " in page
    assert lines_of(page) == {model: row(model, found) for model, found in made.items()}
    assert rows(page, "ranking") == [
        ["`fixed`", "1.0000", ".5000", ".2500", "1.0", "200", "1,200"],
        ["`drawn`", ".2000 ± .1000", ".2000 ± .0000", ".4000 ± .1000", "2.0", "200", "1,200"],
    ]


def test_tables_that_are_not_made_anew_stay_as_they_are() -> None:
    page = BOARD.read_text()
    tables = tables_of(page)
    assert list(tables) == [task for task in PROTOCOLS if task in tables]
    assert page.endswith("\n\n".join(tables.values()) + "\n")
