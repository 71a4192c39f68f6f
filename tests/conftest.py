"""Fixtures that every test may use: the program as a process, the sample data, the real data where there is any."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure: how long an example takes is not what the properties are about.
settings.register_profile("recli", deadline=None)
settings.load_profile("recli")

os.environ["RECLI_NO_PROGRESS"] = "1"  # what a run says on stderr must not depend on whether a kernel was compiled yet

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("RECLI_SHARED", ROOT.parent / "shared")) / "data"

Runner = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not SHARED.is_dir():
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(pytest.mark.skip(reason=f"{SHARED} is not there"))


@pytest.fixture
def shared() -> Path:
    """The folder of real data sets."""
    return SHARED


@pytest.fixture
def sample() -> Path:
    """The sample data's interactions."""
    return ROOT / "sample_data" / "sample.inter"


@pytest.fixture
def recli(tmp_path: Path) -> Runner:
    """Run recli as a process in an empty folder: ``recli("split", path, input="…")``."""

    def run(*arguments: object, input: str | None = None, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "recli", *map(str, arguments)]
        settings: dict[str, object] = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120}
        if input is None:
            settings["stdin"] = subprocess.DEVNULL
        return subprocess.run(command, input=input, check=False, **(settings | options))  # type: ignore[call-overload]

    return run


@pytest.fixture
def shell(tmp_path: Path) -> Runner:
    """Run a line of bash in an empty folder, with this environment's recli first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(line: str, **options: object) -> subprocess.CompletedProcess[str]:
        settings: dict[str, object] = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 180}
        settings["env"] = {**os.environ, "PATH": path}
        return subprocess.run(["bash", "-c", line], check=False, **(settings | options))  # type: ignore[call-overload]

    return run
