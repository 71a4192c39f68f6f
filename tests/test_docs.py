"""The README cannot be wrong: its tables come from the catalog, its pipeline from a run."""

import re

import pytest

from tests.conftest import ROOT
from tests.docs import README, block, metrics, models, pipeline


def test_the_tables_are_those_of_the_code() -> None:
    text = README.read_text()
    assert block(text, "models") == models()
    assert block(text, "metrics") == metrics()


def test_the_pipeline_prints_what_the_readme_says() -> None:
    number = r"\d+\.\d+"
    told, run = block(README.read_text(), "pipeline"), pipeline()
    assert re.sub(number, "#", told) == re.sub(number, "#", run)
    # Another processor adds up in another order: the last digits may differ.
    assert [float(x) for x in re.findall(number, told)] == pytest.approx(
        [float(x) for x in re.findall(number, run)], rel=1e-4
    )


def test_every_file_that_is_named_is_there() -> None:
    for document in ("README.md", "CONTRIBUTING.md"):
        for name in re.findall(r"`((?:recli|tests|examples|sample_data|\.ci)/[\w./]*)`", (ROOT / document).read_text()):
            assert (ROOT / name).exists(), name
