"""Compiled functions: kept on disk, loaded without numba, made anew when anything they were made of is another."""

import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from recli.kernels import functions, kernel, native, spread
from recli.kernels.vector import load

ROOT = Path(__file__).resolve().parents[1]
SOURCE = """
from recli.kernels import kernel, part

@part
def twice(x):
    return 2 * x

@kernel
def total(x, y):
    sum = 0.0
    for at in range(len(x)):
        sum += twice(x[at]) + y
    return sum
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECLI_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the functions that numba is asked to compile."""
    from recli.kernels import compiling

    names, real = [], compiling.machine_code
    monkeypatch.setattr(
        compiling, "machine_code", lambda f, *given, **how: names.append(f.__qualname__) or real(f, *given, **how)
    )
    return names


def module(path: Path, text: str = SOURCE) -> ModuleType:
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_it_is_compiled_once_and_then_loaded(tmp_path: Path, cache: Path, compiled: list[str]) -> None:
    x = np.arange(5.0)
    for _ in range(3):
        total = module(tmp_path / "sums.py").total
        assert total(x, 1.0) == total(x, 1.0) == 25
    assert compiled == ["total"]
    (kept,) = cache.iterdir()
    assert kept.name.startswith("sums.total-")


def test_what_runs_on_lent_threads_is_kept_as_well(tmp_path: Path, cache: Path, compiled: list[str]) -> None:
    from recli.training.team import on_threads_of_torch

    text = """
from recli.kernels import kernel

@kernel
def fill(x, start, stop):
    for at in range(start, stop):
        x[at] += at
"""
    x = np.zeros(100)
    for name in ("one", "two"):
        fill = module(tmp_path / "fills.py", text).fill
        with on_threads_of_torch():
            spread(partial(fill, x), len(x))
        assert (x == np.arange(100) * (1 + (name == "two"))).all()
    assert compiled == ["fill"]
    spread(partial(fill, x), len(x))  # by itself it is another code
    assert compiled == ["fill", "fill"]
    assert len(list(cache.iterdir())) == 2


def test_no_numba_where_it_was_compiled_before(cache: Path) -> None:
    text = """
import sys
import numpy as np
from scipy.sparse import csr_matrix
from recli.kernels import als, nearest
x = csr_matrix(np.eye(40, 30, dtype=np.float32))
als.solve(x, np.ones((30, 16), np.float32), np.zeros((40, 16), np.float32), reg_weight=1.0, steps=3)
nearest.neighbours(x, np.ones(30), 0.0, 3)
print("numba" in sys.modules)
from recli.kernels import topk
topk.top_k(np.zeros((3, 9), np.float32), *(np.zeros(n, t) for n, t in ((4, np.int64), (0, np.int32), (0, np.bool_))),
    np.full((3, 2), -1, np.int32), np.full((3, 2), -np.inf, np.float32))
print("numba" in sys.modules)
"""
    environment = {**os.environ, "RECLI_CACHE_DIR": str(cache)}
    for expected in (["True", "True"], ["False", "False"]):
        done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, cwd=ROOT)
        assert done.stdout.split() == expected, done.stderr
    next(cache.glob("topk.*")).unlink()  # numba is imported after its C modules were loaded without it
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "True"], done.stderr


@pytest.mark.parametrize("change", ["2 * x", "+ y\n"])
def test_another_source_is_compiled_anew(tmp_path: Path, cache: Path, compiled: list[str], change: str) -> None:
    assert module(tmp_path / "sums.py").total(np.ones(2), 1.0) == 6
    other = module(tmp_path / "sums.py", SOURCE.replace(change, change.replace("2", "3").replace("y", "y + 1")))
    assert other.total(np.ones(2), 1.0) == 8
    assert len(compiled) == 2 and len(list(cache.iterdir())) == 1


def test_a_part_of_another_file_counts(tmp_path: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    parts = "from recli.kernels import part\n\n@part\ndef more(x):\n    return x + 1\n"
    uses = "from recli.kernels import kernel\nfrom partsfile import more\n\n@kernel\ndef f(x):\n    return more(x)\n"
    for wanted in (3, 4):
        sys.modules.pop("partsfile", None)
        (tmp_path / "partsfile.py").write_text(parts.replace("+ 1", f"+ {wanted - 2}"))
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        assert module(tmp_path / "uses.py", uses).f(2) == wanted
    assert compiled == ["f", "f"]


def test_a_constant_of_another_file_counts(tmp_path: Path, compiled: list[str]) -> None:
    text = "from recli.kernels import kernel\n\nMORE = {}\n\n@kernel\ndef f(x):\n    return x + MORE\n"
    for more in (1, 2, 1):
        made = module(tmp_path / "adds.py", text.format("None"))
        made.MORE = more  # as an import from elsewhere would have it
        assert made.f(2) == 2 + more
    assert compiled == ["f"] * 3


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"", lambda b: b[:300] + b"\x00" + b[301:]])
def test_a_damaged_file_is_made_anew(tmp_path: Path, cache: Path, compiled: list[str], damage: Any) -> None:
    assert module(tmp_path / "sums.py").total(np.ones(2), 1.0) == 6
    (kept,) = cache.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    for _ in range(2):
        assert module(tmp_path / "sums.py").total(np.ones(2), 1.0) == 6
    assert len(compiled) == 2


def test_another_processor_is_another_target(
    tmp_path: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module(tmp_path / "sums.py").total(np.ones(2), 1.0)
    real = native.target
    for target in (lambda: "another", real):
        monkeypatch.setattr(native, "target", target)
        module(tmp_path / "sums.py").total(np.ones(2), 1.0)
    assert len(compiled) == 2  # both are kept


def test_where_the_installation_is_read_only_the_users_cache_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECLI_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    (tmp_path / "__pycache__").write_text("no directory can be here")
    assert module(tmp_path / "sums.py").total(np.ones(2), 1.0) == 6
    assert [path.name[:10] for path in (tmp_path / "mine" / "recli").iterdir()] == ["sums.total"]


def test_types_are_told_apart(tmp_path: Path, compiled: list[str]) -> None:
    total = module(tmp_path / "sums.py").total
    square = np.arange(16.0).reshape(4, 4)
    fixed = square[0].copy()
    fixed.flags.writeable = False
    given: list[tuple[Any, Any]] = [
        (square[0], 1.0), (square[:, 0], 1.0), (square[0], 1), (square[0].astype(np.float32), 1.0), (fixed, 1.0),
        (square[0], np.float32(1)), (square[0], True), (square[0], 1 << 63),
    ]  # fmt: skip
    for x, y in given:
        assert total(x, y) == pytest.approx(2 * x.sum() + 4 * float(y))
    assert len(compiled) == len(given) == len(total.made)
    assert total(square[1], 2.0) == 52 and total(np.ones(1), 2.0) == 4
    assert len(compiled) == len(given)


def test_a_kernel_says_what_it_does_not_take() -> None:
    namespace: dict[str, Any] = {}
    exec("def same(x):\n    return x\n", namespace)
    with pytest.raises(TypeError, match="takes arrays and numbers, not str"):
        kernel(namespace["same"])("a")
    with pytest.raises(TypeError, match="same returns an array"):
        kernel(namespace["same"])(np.ones(2))
    with pytest.raises(TypeError, match="load can be called in a kernel only"):
        load(np.ones((2, 2)), 0, None)
    assert functions._made_from({}) == ""
