"""The workflow of examples/Makefile: what is built anew, and what is not."""

import os
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, Runner

MAKE = f"make -f {ROOT}/examples/Makefile DATA=data.inter"


@pytest.fixture
def data(tmp_path: Path, sample: Path) -> Path:
    path = tmp_path / "data.inter"
    path.write_bytes(sample.read_bytes())
    return path


def built(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "build").iterdir()}


def test_the_workflow(shell: Runner, data: Path, tmp_path: Path) -> None:
    first = shell(f"{MAKE} -j4")
    assert first.returncode == 0, first.stderr
    before = built(tmp_path)
    assert sorted(name for name in before if name.endswith(".metrics.json")) == [
        f"{model}.metrics.json" for model in ("als", "ease", "itemknn", "pop")
    ]

    assert "Nothing to be done" in shell(MAKE).stdout  # a second make does nothing
    assert built(tmp_path) == before

    time.sleep(0.01)
    data.touch()  # the time alone
    contents = {path.name: path.read_bytes() for path in (tmp_path / "build").iterdir()}
    touched = shell(MAKE)
    assert touched.stderr.count("up to date") == 13 and "fit" not in touched.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "build").iterdir()} == contents
    assert "Nothing to be done" in shell(MAKE).stdout  # and the times have settled


def test_a_changed_byte_rebuilds_what_depends_on_it(shell: Runner, data: Path, tmp_path: Path) -> None:
    make = f"{MAKE} MODELS='pop itemknn'"
    assert shell(make).returncode == 0
    before = built(tmp_path)
    text = data.read_text().splitlines(keepends=True)
    user, item, rating, moment = text[1].split("\t")
    text[1] = "\t".join((user, item, "1" if rating != "1" else "2", moment))
    data.write_text("".join(text))
    assert shell(make).returncode == 0
    after = built(tmp_path)
    assert all(after[name] > before[name] for name in before)
    # Where one model's time is odd, only its own chain is looked at, and nothing is done.
    os.utime(tmp_path / "build" / "pop.npz", ns=(0, 0))
    third = shell(make)
    assert third.stderr.count("up to date") == 3 and "itemknn" not in third.stderr


def test_a_stage_that_fails_leaves_no_target(shell: Runner, data: Path, tmp_path: Path) -> None:
    done = shell(f"{MAKE} MODELS=nonsense")
    assert done.returncode == 2
    assert sorted(path.name for path in (tmp_path / "build").iterdir()) == ["data.split.parquet"]
