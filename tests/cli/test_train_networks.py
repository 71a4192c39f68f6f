"""recli train of networks: validation, early stopping, checkpoints, and what is refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recli import __version__
from recli.errors import Exit
from recli.model import Run
from recli.pipeline.events import Source
from recli.pipeline.step import Output
from recli.pipeline.train import train
from recli.pipeline.training import Training
from tests.cli.evaluating import refused
from tests.conftest import Runner

SMALL = ["-p", "mf_embedding_size=8", "-p", "mlp_embedding_size=8", "-p", "mlp_hidden_size=[8]"]


@pytest.fixture
def split(recli: Runner, sample: Path, tmp_path: Path) -> Path:
    assert recli("split", sample, "-o", "s.split.parquet").returncode == 0
    return tmp_path / "s.split.parquet"


def header(recli: Runner, file: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(recli("show", file, "--json").stdout)
    return document.get("header", document)


def test_the_best_epoch_is_kept_and_its_value_is_that_of_evaluate(recli: Runner, split: Path) -> None:
    command = ["train", split, "--model", "neumf", *SMALL, "-p", "epochs=30", "-p", "learning_rate=0.01"]
    done = recli(*command, "--valid-metric", "recall@5", "--patience", "2", "-o", "m.npz")
    assert done.returncode == 0, done.stderr
    training = header(recli, "m.npz")["training"]
    assert training["best_epoch"] == training["epochs"] - 2 or training["epochs"] == 30
    assert f"recall@5 {training['recall@5']:.4f} on valid in epoch {training['best_epoch']}" in done.stderr
    measured = recli("evaluate", "m.npz", "--phase", "valid", "--metrics", "recall@5", "--json")
    assert json.loads(measured.stdout)["metrics"]["recall@5"]["value"] == training["recall@5"]
    assert "up to date" in recli(*command, "--valid-metric", "recall@5", "--patience", "2", "-o", "m.npz").stderr


@pytest.mark.parametrize("learner", ["adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam"])
def test_a_training_starts_without_torchs_compiler(split: Path, learner: str, tmp_path: Path) -> None:
    command = ["train", split, "--model", "bpr-torch", "-p", "epochs=1", "-p", f"learner={learner}", "-o", "m.npz"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "recli", *command], capture_output=True, text=True, cwd=tmp_path
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "torch" in imported
    assert "torch._dynamo" not in imported


def test_without_a_valid_part_all_epochs_are_run_and_it_says_so(recli: Runner, sample: Path) -> None:
    done = recli("train", sample, "--model", "gmf", "-p", "epochs=3", "-o", "m.npz")
    assert done.returncode == 0, done.stderr
    assert "not validated, so all epochs are run: there is no valid part" in done.stderr
    assert header(recli, "m.npz")["training"] == {"epochs": 3}


def kill_when(command: list[str], folder: Path, file: Path, number: int, wait: float) -> int:
    """Send a signal to a process so long after it wrote a file (again); returns how it ended."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    started = subprocess.Popen([sys.executable, "-m", "recli", *command], cwd=folder, stderr=subprocess.DEVNULL)
    while started.poll() is None and (not file.exists() or file.stat().st_mtime_ns == before):
        time.sleep(0.01)
    time.sleep(wait)
    if started.poll() is None:
        os.kill(started.pid, number)
    return started.wait(60)


@pytest.mark.slow
def test_killed_at_random_it_goes_on_to_the_same_bytes(recli: Runner, split: Path, tmp_path: Path) -> None:
    command = ["train", str(split), "--model", "neumf", *SMALL, "-p", "epochs=40", "-j1"]
    command += ["-p", "train_batch_size=256", "--patience", "1000", "--eval-every", "7"]
    assert recli(*command, "-o", "whole.npz").returncode == 0
    resumed = [*command, "-o", "rest.npz", "--checkpoint", "c.npz", "--resume"]
    checkpoint, ends = tmp_path / "c.npz", []
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL, signal.SIGINT):
        if (tmp_path / "rest.npz").exists():
            break
        ends.append(kill_when(resumed, tmp_path, checkpoint, number, random.random() / 2))
    assert ends[0] == -signal.SIGKILL
    done = recli(*resumed)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rest.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert recli("check", "c.npz").returncode == 0


def test_a_checkpoint_of_another_training_is_refused_with_the_difference(recli: Runner, split: Path) -> None:
    command = ["train", split, "--model", "gmf", "-o", "m.npz", "--checkpoint", "c.npz"]
    assert recli(*command, "-p", "epochs=2").returncode == 0
    other = recli(*command, "-p", "epochs=3", "--resume")
    assert other.returncode == 2
    assert "c.npz: is the checkpoint of another training: epochs is 3 here and 2 there" in other.stderr
    assert recli("split", split.parent / "s.split.parquet", "-o", "x.parquet").returncode != 0
    again = recli(*command, "-p", "epochs=2", "--resume", "--force")
    assert again.returncode == 0, again.stderr
    assert "going on after 2 epochs" in again.stderr


def test_a_checkpoint_of_other_data_or_another_version_is_refused(
    split: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(checkpoint=tmp_path / "c.npz", resume=True)

    def trained(path: Path) -> Path:
        output = Output(path=str(tmp_path / "m.npz"), force=True)
        return train(path, Source(), "gmf", {"epochs": 1}, Run(), output, training=training)

    trained(split)
    other = tmp_path / "other.inter"
    other.write_bytes(sample.read_bytes() + b"1\t2\t3\t4\n")
    with refused(
        Exit.USAGE, "of another training", "on is table here and split there", "the source is ", "the split is"
    ):
        trained(other)
    monkeypatch.setattr("recli.pipeline.training.__version__", "9.9")
    with refused(Exit.USAGE, f"recli is 9.9 here and {__version__} there", "--resume"):
        trained(split)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "ease", "--patience", "3"], "ease is no network, and takes no --patience"),
        (["--model", "gmf", "--resume"], "--resume and --checkpoint-every need --checkpoint"),
        (["--model", "gmf", "--valid-metric", "ndgc@10"], "there is no metric 'ndgc'"),
        (["--model", "gmf", "--valid-metric", "rmse"], "rmse is no metric of ranked lists"),
        (["--model", "gmf", "--device", "tpu"], "--device cannot be 'tpu'"),
        (["--model", "gmf", "--time-budget", "soon"], "--time-budget takes a time above 0"),
        (["--model", "gmf", "--checkpoint", "s.split.parquet"], "is an input too"),
        (["--model", "gmf", "-p", "mlp_hidden_size=8"], "mlp_hidden_size takes a list such as [128, 64]"),
        (["--model", "gmf", "-p", "dropout_prob=1"], "dropout_prob must be below 1"),
        (
            ["--model", "gmf", "-p", "learner=sparse_adam", "-p", "clip_grad_norm=1"],
            "sparse_adam has no clip_grad_norm",
        ),
        (["--model", "lightgcn", "-p", "learner=sparse_adam"], "a step of the graph moves all rows"),
    ],
)
def test_what_is_refused(recli: Runner, split: Path, arguments: list[str], message: str) -> None:
    done = recli("train", split, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_another_file_is_not_replaced_by_a_checkpoint(recli: Runner, split: Path, tmp_path: Path) -> None:
    (tmp_path / "c.npz").write_text("mine")
    done = recli("train", split, "--model", "gmf", "-p", "epochs=1", "--checkpoint", "c.npz")
    assert done.returncode == 2
    assert (tmp_path / "c.npz").read_text() == "mine"


def test_a_loss_that_is_not_a_number_is_exit_6(recli: Runner, split: Path) -> None:
    done = recli("train", split, "--model", "neumf", "-p", "learner=sgd", "-p", "learning_rate=1e30")
    assert done.returncode == 6
    assert "in step" in done.stderr
    assert "at a learning rate of 1e+30" in done.stderr


def test_progress_on_a_terminal_is_a_bar_and_else_lines(split: Path) -> None:
    import pty

    script = "from recli.cli import console; console._SECONDS_BETWEEN_LINES = 0; from recli.cli import run; run()"
    command = [sys.executable, "-c", script, "train", str(split), "--model", "gmf", "-p", "epochs=3", "--force"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150", "RECLI_NO_PROGRESS": ""}
    how: dict[str, Any] = {"cwd": split.parent, "env": environment, "check": True}
    lines = subprocess.run([*command, "-o", "m.npz"], capture_output=True, text=True, **how).stderr
    said = [line for line in lines.splitlines() if "epochs, loss" in line]
    assert [line.split()[2] for line in said] == ["1/3", "2/3", "3/3"]
    assert all(word in said[0] for word in ("valid 0.", "best 0.", "rate 0.001", "s left")), said
    assert "\x1b" not in lines
    ours, theirs = pty.openpty()
    subprocess.run([*command, "-o", "m.npz"], stdout=subprocess.DEVNULL, stderr=theirs, **how)
    os.close(theirs)
    drawn = os.read(ours, 1 << 16)
    os.close(ours)
    assert b"\r\x1b[Krecli train: " in drawn
    assert all(word in drawn.decode() for word in ("━", "/3 epochs, loss 0.", "valid 0.", "rate 0.001", "s left"))
