"""Configurations as text: a mapping of plain values, and nothing that is carried out."""

from pathlib import Path
from typing import Any

import pytest

from recli.errors import Exit, RecliError
from recli.pipeline.config.document import read
from recli.pipeline.config.recbole import literal


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("train:\n  model: ease\n  params:\n    k: 1\n    k: 2\n")
    with pytest.raises(RecliError, match="k is there twice, first on line 4") as caught:
        read(path)
    assert (caught.value.where, caught.value.code) == (f"{path}:5", Exit.USAGE)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [touch pwned]",
        "a: [1, 2",
        "- a\n- b",
        "a: &a [*a]",
        "a: 2020-13-45",
        "\tx: 1",
        "? [1, 2]\n: 3",
        "[" * 2000,
    ],
)
def test_what_is_no_plain_mapping_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(RecliError) as caught:
        read(path)
    assert caught.value.code is Exit.USAGE and caught.value.where
    assert not (Path.cwd() / "pwned").exists()


def test_numbers_are_numbers_as_in_json(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1e-3\nb: 1.5E6\nc: .5\nd: 12\ne: e5\nf: -2e+1\n")
    assert read(path).values == {"a": 0.001, "b": 1.5e6, "c": 0.5, "d": 12, "e": "e5", "f": -20.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("None", None),
        ("{'distribution': 'uniform'}", {"distribution": "uniform"}),
        ("[128, 64]", [128, 64]),
        ("1e-4", 1e-4),
        ("True", True),
        ("false", False),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("(" * 5000, "(" * 5000),
    ],
)
def test_a_python_literal_is_data_and_nothing_else_is_read_as_python(text: str, value: Any) -> None:
    assert literal("any", text) == value


def test_a_path_or_an_interval_that_looks_like_a_literal_stays_text() -> None:
    assert [literal("dataset", "100"), literal("user_inter_num_interval", "[5,10]")] == ["100", "[5,10]"]
