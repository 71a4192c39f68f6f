"""Every stage of the pipeline as its own process: wall seconds, peak memory, and the start-up against bare typer.

    python tests/benchmarks/stages.py ../shared/data/ml-100k/ml-100k.inter --model als

The first run compiles the kernels, the second finds them on disk; both are printed. Medians of five for the
start-up.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECLI = [sys.executable, "-m", "recli"]


def measure(command: list[str], folder: Path) -> tuple[str, float, float]:
    """What a command prints, its wall seconds and its peak memory in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return printed.strip(), time.perf_counter() - started, usage.ru_maxrss / 1024


def stages(data: Path, model: str, folder: Path) -> None:
    path = str(data.resolve())
    for command, options in (
        ("split", ["--dialect", "recbole"]),
        ("train", ["--model", model]),
        ("recommend", ["-k", "10"]),
        ("evaluate", []),
    ):
        printed, seconds, memory = measure([*RECLI, command, *options, path], folder)
        print(f"{command}\t{seconds:.2f}\t{memory:.0f}")
        path = printed.splitlines()[0]


def start_up(folder: Path) -> None:
    commands = {
        "import typer": [sys.executable, "-c", "import typer"],
        "recli --help": [*RECLI, "--help"],
        "recli models": [*RECLI, "models"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(6):  # in turn, so that a machine that slows down slows all; the first round warms up
        for name, command in commands.items():
            seconds[name].append(measure(command, folder)[1])
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name}\t{median:.3f}\t{median / medians['import typer']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="als")
    given = parser.parse_args()
    for run in ("first", "second"):
        print(f"{run} run\tseconds\tMiB")
        with tempfile.TemporaryDirectory() as folder:
            stages(given.data, given.model, Path(folder))
    print("start-up\tseconds\tratio")
    with tempfile.TemporaryDirectory() as folder:
        start_up(Path(folder))


if __name__ == "__main__":
    main()
