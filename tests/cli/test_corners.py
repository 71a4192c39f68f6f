"""Corners in which a figure, a name or a stream went wrong once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from recli.artifact import load
from tests.conftest import Runner


@pytest.fixture
def split(recli: Runner, sample: Path) -> str:
    return recli("split", sample, "-q").stdout.strip()


@pytest.fixture
def model(recli: Runner, split: str) -> str:
    return recli("train", split, "--model", "pop", "-q").stdout.strip()


@pytest.fixture
def recs(recli: Runner, model: str) -> str:
    return recli("recommend", model, "-q").stdout.strip()


class TestWhatIsRefused:
    def test_a_split_is_not_filtered_or_split_again(self, recli: Runner, split: str) -> None:
        """It would lose its parts, and a model would then be fitted on the test rows."""
        for command in ("filter", "split"):
            done = recli(command, split, "--min-rating", 2)
            assert done.returncode == 3 and "is split already" in done.stderr

    def test_a_split_as_text_keeps_its_labels(self, recli: Runner, split: str) -> None:
        lines = recli("convert", split, "--to", "csv", "-o", "-", "-q").stdout.splitlines()
        assert lines[0].endswith(",split") and {line.rsplit(",", 1)[1] for line in lines[1:]} == {
            "train",
            "valid",
            "test",
        }

    def test_options_of_another_strategy(self, recli: Runner, sample: Path) -> None:
        done = recli("split", sample, "--at", "0.8,0.9")
        assert done.returncode == 2 and "it is for time" in done.stderr

    def test_a_table_of_users_is_no_table_of_interactions(self, recli: Runner, sample: Path) -> None:
        for command in (["split"], ["train", "--model", "pop"], ["filter"]):
            done = recli(*command, sample.with_suffix(".user"))
            assert done.returncode == 3 and ".user" in done.stderr

    @pytest.mark.parametrize(
        "options", [["--phase", "valid"], ["--users", "u1"], ["--allow-seen"], ["--exclude", "i1"]]
    )
    def test_lists_are_what_they_are(self, recli: Runner, recs: str, options: list[str]) -> None:
        done = recli("evaluate", recs, *options)
        assert done.returncode == 2 and "lists made for phase test" in done.stderr

    def test_a_split_that_is_not_there(self, recli: Runner, recs: str, split: str) -> None:
        for options in (["--split", "nosuch"], ["--split", "nosuch", "--truth", split]):
            done = recli("evaluate", recs, *options)
            assert done.returncode == 4 and "nosuch" in done.stderr

    def test_history_and_users_together(self, recli: Runner, model: str, sample: Path) -> None:
        assert recli("recommend", model, "--history", sample, "--users", "u1").returncode == 2

    def test_two_inputs_of_one_name(self, recli: Runner, sample: Path, tmp_path: Path) -> None:
        other = tmp_path / "other" / "sample.inter"
        other.parent.mkdir()
        other.write_bytes(sample.read_bytes())
        done = recli("split", sample, other)
        assert done.returncode == 2 and "two inputs would write it" in done.stderr and done.stdout == ""
        assert recli("split", sample, other, "-o", "-").returncode == 2

    def test_a_list_of_ids_is_not_overwritten(self, recli: Runner, model: str, tmp_path: Path) -> None:
        (tmp_path / "ids.txt").write_text("u1\n")
        done = recli("recommend", model, "--users", "@ids.txt", "-o", "ids.txt", "--overwrite")
        assert done.returncode == 2 and (tmp_path / "ids.txt").read_text() == "u1\n"

    @pytest.mark.parametrize("ids", ["", ",", "@empty.txt"])
    def test_nobody_to_serve(self, recli: Runner, model: str, tmp_path: Path, ids: str) -> None:
        (tmp_path / "empty.txt").write_text("\n")
        assert recli("recommend", model, "--users", ids).returncode in (2, 3)

    @pytest.mark.parametrize("number", ["nan", "inf", "1e400"])
    def test_what_is_no_number(self, recli: Runner, sample: Path, split: str, number: str) -> None:
        assert recli("split", sample, "--min-rating", number).returncode == 2
        assert recli("split", sample, "--ratios", f"{number},0.1,0.1").returncode == 2
        parameter = "Infinity" if number == "inf" else number
        assert recli("train", split, "--model", "ease", "-p", f"reg_weight={parameter}").returncode == 2

    def test_a_name_with_the_end_of_a_line(self, recli: Runner, sample: Path) -> None:
        done = recli("split", sample, "-o", "a\nb.parquet")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 2

    def test_telling_how_to_read_an_artifact(self, recli: Runner, split: str) -> None:
        assert recli("train", split, "--model", "pop", "--format", "csv").returncode == 2

    def test_several_files_as_one_training_table(self, recli: Runner, sample: Path, split: str, tmp_path: Path) -> None:
        (tmp_path / "parts").mkdir()
        for part in range(2):
            load(tmp_path / split).frame().drop("split")[part::2].write_parquet(tmp_path / "parts" / f"{part}.parquet")
        done = recli("train", "parts", "--model", "pop")
        assert done.returncode == 2 and "recli convert" in done.stderr
        table = recli("convert", "parts", "-q", "-o", "all.parquet").stdout
        assert table == "" or load(tmp_path / table.strip()).frame().height == 20_000


class TestStaleAnswers:
    def test_how_the_truth_is_read_is_part_of_the_question(self, recli: Runner, recs: str, tmp_path: Path) -> None:
        listed = load(tmp_path / recs).frame()
        wrong = pl.DataFrame({"good": listed["user_id"], "item": listed["item_id"]})
        wrong.with_columns(bad=pl.col("good").reverse()).write_csv(tmp_path / "truth.csv")
        values = []
        for column in ("good", "bad"):
            options = ("--truth", "truth.csv", "--user-col", column, "--item-col", "item", "-o", "m.json", "-q")
            recli("evaluate", recs, *options)
            values.append(load(tmp_path / "m.json").document["metrics"]["recall@10"]["value"])
        assert values[0] == 1 and values[1] < 1

    def test_histories_have_names_of_their_own(self, recli: Runner, model: str, tmp_path: Path) -> None:
        names = set()
        for user in ("a", "b"):
            (tmp_path / f"{user}.csv").write_text(f"user_id,item_id\n{user},i1\n")
            names.add(recli("recommend", model, "--history", f"{user}.csv", "-q").stdout)
        assert len(names) == 2

    def test_a_table_and_its_split_give_models_of_different_names(
        self, recli: Runner, sample: Path, model: str
    ) -> None:
        assert recli("train", sample, "--model", "pop", "-q").stdout.strip() != model


class TestFigures:
    def test_warm_is_never_above_one(self, recli: Runner, sample: Path) -> None:
        split = recli("split", sample, "--strategy", "time", "--at", "0.5", "-q").stdout.strip()
        model = recli("train", split, "--model", "pop", "--fit-on", "all", "-q").stdout.strip()
        done = recli("evaluate", model, "--allow-seen", "--metrics", "recall@300", "--json", "-q")
        entry = json.loads(done.stdout)["metrics"]["recall@300"]
        assert entry["warm"] <= 1 and entry["value"] <= 1 and entry["warm_users"] <= entry["users"]

    def test_only_the_users_that_were_asked_for_count(self, recli: Runner, model: str) -> None:
        done = recli("evaluate", model, "--users", "u1,u2", "--items", "i1,i2,i3", "--json", "-q")
        entry = json.loads(done.stdout)["metrics"]["ndcg@10"]
        assert entry["users"] == 2 and entry["candidates"].startswith("given (")


class TestStdin:
    """What came through a pipe is not taken for what comes through it now."""

    def test_another_history_gets_other_lists(self, recli: Runner, model: str, tmp_path: Path) -> None:
        lists = []
        for user in ("ann", "bob"):
            text = f"user_id,item_id\n{user},i1\n"
            arguments = (
                "recommend",
                model,
                "--history",
                "-",
                "--format",
                "csv",
                "-k",
                3,
                "-o",
                "new.recs.parquet",
                "-q",
            )
            assert recli(*arguments, input=text).returncode == 0
            lists.append(load(tmp_path / "new.recs.parquet").frame()["user_id"].unique().to_list())
        assert lists == [["ann"], ["bob"]]

    def test_another_truth_gets_other_metrics(self, recli: Runner, model: str, tmp_path: Path) -> None:
        values = []
        for item in ("i1", "i2"):
            arguments = (
                "evaluate",
                model,
                "--truth",
                "-",
                "--format",
                "csv",
                "--allow-seen",
                "-o",
                "m.metrics.json",
                "-q",
            )
            done = recli(*arguments, input=f"user_id,item_id\nu1,{item}\n")
            assert done.returncode == 0, done.stderr
            values.append(load(tmp_path / "m.metrics.json").document["truth"])
        assert values[0] != values[1]


class TestStreams:
    def test_dev_stdout_is_appended_to(self, shell: Runner, sample: Path, tmp_path: Path) -> None:
        line = f"echo first > log && recli convert {sample} --to csv -o /dev/stdout -q >> log && head -2 log"
        assert shell(line).stdout.splitlines() == ["first", "user_id,item_id,rating,timestamp"]

    def test_dev_shm_is_a_folder_like_any_other(self, shell: Runner, sample: Path) -> None:
        target = f"/dev/shm/recli-test-{os.getpid()}.parquet"
        done = shell(f"recli split {sample} -q -o {target} | recli train --model pop -q -o x.npz; rm -f {target}")
        assert done.stdout == "x.npz\n", done.stderr

    @pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-"])
    def test_closed_streams_change_no_exit_code(self, shell: Runner, sample: Path, closed: str) -> None:
        assert shell(f"recli split {sample} {closed}").returncode == 0
        assert shell(f"recli split missing.inter {closed}").returncode == 4

    def test_a_full_stderr_changes_no_exit_code(self, shell: Runner) -> None:
        assert shell("recli split missing.inter 2> /dev/full").returncode == 4

    def test_debug_changes_no_exit_code(self, recli: Runner) -> None:
        for arguments in (["--debug", "split", "missing.inter"], ["split", "missing.inter", "--debug"]):
            done = recli(*arguments)
            assert done.returncode == 4 and "Traceback" in done.stderr

    def test_names_in_any_encoding(self, tmp_path: Path, sample: Path) -> None:
        name = os.fsdecode(b"q\xff.inter")
        (tmp_path / name).write_bytes(sample.read_bytes())
        environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
        command = [sys.executable, "-m", "recli"]
        options = {"cwd": tmp_path, "env": environment, "capture_output": True, "check": False}
        split = subprocess.run([*command, "split", name, "-q"], stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
        assert split.stdout == b"q\xff.split.parquet\n", split.stderr
        train = subprocess.run([*command, "train", "--model", "pop", "-q"], input=split.stdout, **options)  # type: ignore[call-overload]
        assert train.stdout == b"q\xff.pop.npz\n", train.stderr

    def test_ignored_signals_stay_ignored(self, shell: Runner, sample: Path) -> None:
        code = (
            "import signal, sys; from recli.cli.console import default_signals; default_signals(); "
            "print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
        )
        assert shell(f'trap "" INT; python -c "{code}"').stdout == "True\n"


def test_a_long_list_of_users(recli: Runner, model: str) -> None:
    users = ",".join(f"u{number}" for number in range(1, 400))
    assert recli("recommend", model, "--users", users).returncode == 0


def test_ids_in_a_file_are_lines(recli: Runner, sample: Path, tmp_path: Path) -> None:
    header = "user_id:token\titem_id:token\n"
    (tmp_path / "odd.inter").write_text(header + "a\u2028b\tx\nc\ty\n")
    model = recli("train", "odd.inter", "--model", "pop", "-q").stdout.strip()
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbfa\xe2\x80\xa8b\r\n")
    path = recli("recommend", model, "--users", "@ids.txt", "-q").stdout.strip()
    assert load(tmp_path / path).frame()["user_id"].to_list() == ["a\u2028b"]


def test_a_link_to_an_artifact_finds_its_parents(recli: Runner, recs: str, tmp_path: Path) -> None:
    link = tmp_path / "far" / "away" / "link.parquet"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / recs)
    assert recli("check", link).returncode == 0


def test_a_large_foreign_parquet_is_not_read_to_learn_that_it_is_foreign(tmp_path: Path) -> None:
    from recli.artifact.file import _read_ours

    pl.DataFrame({"user_id": ["a"] * 1000}).write_parquet(tmp_path / "x.parquet")
    assert _read_ours(tmp_path / "x.parquet") == b""
