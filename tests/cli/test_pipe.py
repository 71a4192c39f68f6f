"""The pipe: paths in, paths out, and what happens when a part of it fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from recli.artifact import load
from tests.conftest import Runner

PIPE = (
    "recli split {data} | recli train --model {model} | recli recommend -k 10 | recli evaluate --metrics ndcg@10,mrr@10"
)


def stamps(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()}


def test_the_line_of_the_readme(shell: Runner, sample: Path, tmp_path: Path) -> None:
    done = shell("set -o pipefail; " + PIPE.format(data=sample, model="ease"))
    assert done.returncode == 0, done.stderr
    header, ndcg, mrr = (line.split("\t") for line in done.stdout.splitlines())
    assert header == ["metric", "value", "warm", "users", "no_list"]
    assert ndcg[0] == "ndcg@10" and 0.1 < float(ndcg[1]) < 1
    assert mrr[0] == "mrr@10" and 0.1 < float(mrr[1]) < 1
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"sample.split.parquet", "sample.ease.npz", "sample.ease.recs.parquet"}


def test_a_second_run_does_nothing(shell: Runner, sample: Path, tmp_path: Path) -> None:
    line = PIPE.format(data=sample, model="itemknn")
    first = shell(line)
    before = stamps(tmp_path)
    second = shell(line)
    assert second.stdout == first.stdout
    assert second.stderr.count("up to date") == 3
    assert stamps(tmp_path) == before


def test_the_same_bytes_in_another_folder(recli: Runner, sample: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        (folder / "x.inter").write_bytes(sample.read_bytes())
        split = recli("split", "x.inter", cwd=folder).stdout.strip()
        model = recli("train", split, "--model", "bpr", "-p", "epochs=2", cwd=folder).stdout.strip()
        recli("recommend", model, cwd=folder)
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert len(contents[0]) == 4 and contents[0] == contents[1]


def test_a_failing_first_command(shell: Runner, tmp_path: Path) -> None:
    done = shell(PIPE.format(data="missing.inter", model="ease") + '; echo "${PIPESTATUS[@]}"')
    assert done.stdout == "4 3 3 3\n"
    assert "missing.inter: no such file" in done.stderr
    assert done.stderr.count("no input: the command before this one wrote nothing") == 3
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away(shell: Runner, sample: Path) -> None:
    done = shell(f'recli convert {sample} -q -o - | head -1; echo "${{PIPESTATUS[0]}}"')
    assert done.stdout.splitlines() == ["user_id\titem_id\trating\ttimestamp", "141"]
    assert done.stderr == ""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_training_at_once(recli: Runner, sample: Path, tmp_path: Path, signum: int) -> None:
    recli("split", sample)
    before = stamps(tmp_path)
    command = [
        sys.executable,
        "-m",
        "recli",
        "train",
        "sample.split.parquet",
        "--model",
        "bpr",
        "-p",
        "epochs=10000000",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(4)
        started = time.monotonic()
        process.send_signal(signum)
        assert process.wait(10) == -signum  # the shell calls it 128 + n
        assert time.monotonic() - started < 2
    assert stamps(tmp_path) == before


def test_the_shell_sees_130(shell: Runner, sample: Path) -> None:
    train = "recli train -q --model bpr -p epochs=10000000 sample.split.parquet"
    done = shell(f"recli split -q {sample}; timeout --preserve-status -k 5 -s INT 3 {train}")
    assert done.returncode == 130


def test_several_inputs_map(recli: Runner, sample: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.inter"
    other.write_bytes(sample.read_bytes())
    paths = recli("split", sample, other, "-q").stdout
    assert paths.splitlines() == ["sample.split.parquet", "other.split.parquet"]
    models = recli("train", "--model", "pop", "-q", input=paths).stdout
    assert models.splitlines() == ["sample.pop.npz", "other.pop.npz"]
    metrics = recli("evaluate", "--metrics", "ndcg@10", "-q", "-o", "{name}.metrics.json", input=models).stdout
    assert metrics.splitlines() == ["sample.pop.metrics.json", "other.pop.metrics.json"]


def test_one_output_for_several_inputs_is_refused(recli: Runner, sample: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.inter"
    other.write_bytes(sample.read_bytes())
    done = recli("split", sample, other, "-o", "x.split.parquet")
    assert done.returncode == 2 and "{name}" in done.stderr
    assert recli("split", sample, other, "-o", "{name}-x.split.parquet", "-q").stdout.splitlines() == [
        "sample-x.split.parquet",
        "other-x.split.parquet",
    ]


def test_one_bad_input_prints_no_path(recli: Runner, sample: Path) -> None:
    done = recli("split", sample, "missing.inter")
    assert done.returncode == 4 and done.stdout == ""


def test_unusual_parameters_are_in_the_name(recli: Runner, sample: Path) -> None:
    names = [
        recli("split", sample, "-q", *options).stdout.strip()
        for options in ((), ("--seed", 1), ("--strategy", "leave-one-out"), ("--ratios", "0.8,0.1,0.1"))
    ]
    assert names[0] == names[3] == "sample.split.parquet"
    assert len(set(names)) == 3
    model = recli("train", names[1], "--model", "pop", "-q").stdout.strip()
    assert model == f"sample{names[1][len('sample.split') : -len('.parquet')]}.pop.npz"


def test_data_on_stdin_and_stdout(recli: Runner, sample: Path) -> None:
    text = sample.read_text()
    done = recli("convert", "-", "--format", "atomic", "-q", input=text)
    assert done.stdout == "stdin.inter.parquet\n", done.stderr
    back = recli("convert", "stdin.inter.parquet", "--to", "atomic", "-o", "-", "-q")
    assert back.stdout == text
    recs = recli("train", sample, "--model", "pop", "-q").stdout.strip()
    table = recli("recommend", recs, "-q", "-k", 3, "-o", "-").stdout.splitlines()
    assert table[0].split("\t") == ["user_id", "item_id", "rank", "score"]


def test_a_fifo_between_two_commands(shell: Runner, sample: Path, tmp_path: Path) -> None:
    done = shell(
        f"mkfifo pipe; cat pipe > copy.parquet & recli split -q {sample} -o pipe && wait && recli check copy.parquet"
    )
    assert done.returncode == 0, done.stderr


def test_foreign_files_are_not_replaced(recli: Runner, sample: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(precious)
    before = precious.read_bytes()
    done = recli("split", sample, "-o", precious)
    assert done.returncode == 2 and "--overwrite" in done.stderr
    assert precious.read_bytes() == before
    assert recli("split", sample, "-o", precious, "--overwrite").returncode == 0
    done = recli("train", precious, "--model", "pop", "-o", precious)
    assert done.returncode == 2 and "input" in done.stderr
    model = recli("train", precious, "--model", "pop", "-q").stdout.strip()
    recli("evaluate", model, "-o", "metrics.json")
    done = recli("recommend", model, "-o", "metrics.json")
    assert done.returncode == 2 and "is no recs but metrics" in done.stderr


def test_force_makes_it_anew(recli: Runner, sample: Path, tmp_path: Path) -> None:
    recli("split", sample)
    before = stamps(tmp_path)["sample.split.parquet"]
    done = recli("split", sample, "-f")
    after = stamps(tmp_path)["sample.split.parquet"]
    assert "up to date" not in done.stderr
    assert after[0] == before[0] and after[1] > before[1]


def test_a_damaged_target_is_made_anew(recli: Runner, sample: Path, tmp_path: Path) -> None:
    recli("split", sample)
    target = tmp_path / "sample.split.parquet"
    whole = target.read_bytes()
    target.write_bytes(whole[:1000] + b"?" + whole[1001:])
    assert recli("train", target, "--model", "pop").returncode == 3
    assert recli("split", sample).returncode == 0
    assert target.read_bytes() == whole


def test_a_changed_line_of_code_voids_what_it_made(recli: Runner, sample: Path, tmp_path: Path) -> None:
    """The header names the modules that ran; an artifact whose code differs is not up to date."""
    import shutil

    import recli as package

    code = tmp_path / "code"
    shutil.copytree(Path(package.__file__).parent, code / "recli")
    environment = {**os.environ, "PYTHONPATH": str(code)}

    def run(*arguments: object) -> str:
        return recli(*arguments, cwd=code, env=environment).stderr

    recli("split", sample, cwd=code, env=environment)
    assert "fit" in run("train", "sample.split.parquet", "--model", "ease")
    modules = load(code / "sample.ease.npz").header.code["modules"]
    assert "recli.models.linear.ease" in modules and "recli.models.baseline.pop" not in modules
    for module, outcome in (("baseline/pop", "up to date"), ("linear/ease", "fit")):
        with (code / "recli/models" / f"{module}.py").open("a") as file:
            file.write("\n# edited\n")
        assert outcome in run("train", "sample.split.parquet", "--model", "ease")
