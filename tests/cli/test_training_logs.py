"""The log of a training: TensorBoard itself answers with it, and the lines are the same."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from recli.cli.logs import Log
from tests.conftest import Runner

NETWORK = (
    *("--model", "gmf", "-p", "mf_embedding_size=4", "-p", "epochs=3", "--seed", "7"),
    *("--valid-metric", "ndcg@5,hit@3"),
)
TAGS = {"train/loss", "train/learning_rate", "valid/ndcg@5", "valid/hit@3"}


@pytest.fixture
def split(recli: Runner, sample: Path) -> str:
    return recli("split", sample, "-q").stdout.strip()


@contextmanager
def tensorboard(folder: Path) -> Iterator[Any]:
    """Ask TensorBoard, as a process of its own, by HTTP."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--load_fast=false"]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+?:\d+/", line)))

        def ask(path: str, *, until: Any = bool) -> Any:
            for _ in range(60):
                with urlopen(f"{url}data/{path}") as answer:
                    found = json.load(answer)
                if until(found):
                    return found
                time.sleep(1)
            raise AssertionError(found)

        yield ask
    finally:
        process.terminate()
        process.communicate()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_tensorboard_answers_with_our_scalars_and_the_lines_are_the_same(
    recli: Runner, split: str, tmp_path: Path
) -> None:
    arguments = ("--tensorboard", "tb", "--log", "logs/{name}.jsonl", "--embedding-projector")
    done = recli("train", split, *NETWORK, *arguments)
    assert done.returncode == 0, done.stderr
    first, *epochs = lines(tmp_path / "logs" / "sample.jsonl")
    assert first["model"] == "gmf" and first["seed"] == 7
    assert first["params"]["epochs"] == 3 and first["params"]["mf_embedding_size"] == 4
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert all(set(line) > TAGS for line in epochs)
    with tensorboard(tmp_path / "tb") as ask:
        [(run, tags)] = ask("plugin/scalars/tags").items()
        assert run.startswith("sample.gmf") and set(tags) >= TAGS
        for tag in TAGS:
            found = ask(f"plugin/scalars/scalars?run={quote(run)}&tag={quote(tag)}")
            assert [step for _, step, _ in found] == [1, 2, 3]
            # TensorBoard's scalars are float32.
            assert [value for *_, value in found] == pytest.approx([line[tag] for line in epochs], rel=1e-6)
        [projected] = ask(f"plugin/projector/info?run={quote(run)}")["embeddings"]
        assert projected["tensorShape"] == [300, 4]
    names = (tmp_path / "tb" / run / "items.names.tsv").read_text().splitlines()
    assert len(names) == 300 == len(set(names))


def test_hyper_parameters_are_on_tensorboards_page_of_them(recli: Runner, split: str, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    assert recli("train", split, *NETWORK, "--tensorboard", "tb").returncode == 0
    [run] = (tmp_path / "tb").iterdir()
    events = EventAccumulator(str(run))
    events.Reload()
    content = events.PluginTagToContent(metadata.PLUGIN_NAME)[metadata.SESSION_START_INFO_TAG]
    hparams = metadata.parse_session_start_info_plugin_data(content).hparams
    assert hparams["model"].string_value == "gmf" and hparams["epochs"].number_value == 3
    assert hparams["mf_train"].bool_value is True


def test_a_second_training_replaces_the_log_and_what_is_up_to_date_leaves_it(
    recli: Runner, split: str, tmp_path: Path
) -> None:
    arguments = ("train", split, *NETWORK, "--log", "log.jsonl", "--tensorboard", "tb")
    assert recli(*arguments).returncode == 0
    before = (tmp_path / "log.jsonl").read_bytes()
    assert "up to date" in recli(*arguments).stderr
    assert (tmp_path / "log.jsonl").read_bytes() == before
    assert recli(*arguments, "-f").returncode == 0
    assert (tmp_path / "log.jsonl").read_bytes() == before  # the same seed
    [run] = (tmp_path / "tb").iterdir()
    assert len(list(run.glob("events.*"))) == 1


def test_a_log_that_is_gone_on_with_keeps_what_came_before_and_forgets_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"

    def log() -> Log:
        return Log(about={"model": "m"}, params={"k": 1}, lines=file, events=tmp_path / "tb")

    interrupted = log()
    for epoch in (1, 2, 3):
        interrupted(epoch, {"loss": 1 / epoch, "learning_rate": 0.1})
    with file.open("a") as cut:
        cut.write('{"epoch": 4, "train/')
    resumed = log()
    resumed(3, {"loss": 0.25, "learning_rate": 0.1, "ndcg@10": 0.5})
    resumed(4, {"loss": float("nan"), "learning_rate": 0.1})
    assert lines(file) == [
        {"model": "m", "params": {"k": 1}},
        {"epoch": 1, "train/loss": 1.0, "train/learning_rate": 0.1},
        {"epoch": 2, "train/loss": 0.5, "train/learning_rate": 0.1},
        {"epoch": 3, "train/loss": 0.25, "train/learning_rate": 0.1, "valid/ndcg@10": 0.5},
        {"epoch": 4, "train/loss": None, "train/learning_rate": 0.1},
    ]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")][:3] == [(1, 1.0), (2, 0.5), (3, 0.25)]


def test_a_line_is_on_disk_when_its_epoch_is_over(tmp_path: Path) -> None:
    log = Log(about={}, params={}, lines=tmp_path / "a" / "log.jsonl")
    log(1, {"loss": 1.0})
    assert lines(tmp_path / "a" / "log.jsonl")[1] == {"epoch": 1, "train/loss": 1.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "ease", "--log", "a.jsonl"), "ease is no network, and takes no --log"),
        (("--model", "als", "--tensorboard", "tb"), "als is no network, and takes no --tensorboard"),
        ((*NETWORK, "--embedding-projector"), "--embedding-projector is of TensorBoard's"),
    ],
)
def test_a_log_that_cannot_be_kept_is_refused(
    recli: Runner, split: str, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    failed = recli("train", split, *arguments)
    assert failed.returncode == 2 and message in failed.stderr
    assert not list(tmp_path.glob("*.npz"))


def test_tensorboard_that_is_not_installed_is_told_with_the_way_to_get_it(
    recli: Runner, split: str, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'tensorboard' else find(name, *rest)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(hidden)}
    failed = recli("train", split, *NETWORK, "--tensorboard", "tb", env=environment)
    assert failed.returncode == 2 and "pip install" in failed.stderr
    (tmp_path / "run.yaml").write_text("data: " + split + "\nsplit: false\ntrain: gmf\n")
    assert "--tensorboard" not in recli("run", "run.yaml", "--dry-run", env=environment).stdout
    assert "--tensorboard tensorboard" in recli("run", "run.yaml", "--dry-run").stdout


def test_a_log_that_cannot_be_written_ends_the_training_with_one_line(
    recli: Runner, split: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    failed = recli("train", split, *NETWORK, "--log", "file/log.jsonl")
    assert failed.returncode == 4 and failed.stderr.count("recli: error:") == 1
    assert not list(tmp_path.glob("*.npz"))
