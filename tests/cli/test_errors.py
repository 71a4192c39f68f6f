"""Every mistake is one line, a hint and its exit code; never a traceback, never a lost file."""

import os
import resource
from pathlib import Path

import pytest

from tests.conftest import Runner


@pytest.fixture
def split(recli: Runner, sample: Path) -> str:
    return recli("split", sample, "-q").stdout.strip()


@pytest.fixture
def model(recli: Runner, split: str) -> str:
    return recli("train", split, "--model", "pop", "-q").stdout.strip()


def check(done: object, code: int, *texts: str) -> None:
    stderr: str = done.stderr  # type: ignore[attr-defined]
    assert done.returncode == code, stderr  # type: ignore[attr-defined]
    assert done.stdout == ""  # type: ignore[attr-defined]
    assert "Traceback" not in stderr
    errors = [line for line in stderr.splitlines() if line.startswith("recli: error: ")]
    assert len(errors) == 1, stderr
    for text in texts:
        assert text in stderr, stderr


@pytest.mark.parametrize(
    ("arguments", "code", "texts"),
    [
        (["nonsense"], 2, ["nonsense"]),
        (["split", "--nonsense"], 2, ["--nonsense"]),
        (["split", "{sample}", "--strategy", "ration"], 2, ["did you mean ratio?"]),
        (["split", "{sample}", "--ratios", "a,b"], 2, ["0.8,0.1,0.1"]),
        (["split", "{sample}", "--ratios", "0.5,0.5"], 2, ["three"]),
        (["split", "{sample}", "--strategy", "time"], 2, ["--at"]),
        (["split", "{sample}", "--strategy", "given"], 2, ["--train"]),
        (["split", "{sample}", "--min-rating", "9"], 3, ["min-rating"]),
        (["split", "{sample}", "--range", "raiting=1,2"], 2, ["rating"]),
        (["split", "{sample}x"], 4, ["no such file", "did you mean"]),
        (["split", "/root/../"], 2, []),
        (["train", "{split}", "--model", "eaes"], 2, ["did you mean ease?"]),
        (["train", "{split}", "--model", "itemknn", "-p", "kk=3"], 2, ["did you mean k?"]),
        (["train", "{split}", "--model", "itemknn", "-p", "k=many"], 2, ["whole number"]),
        (["train", "{split}", "--model", "itemknn", "-p", "k"], 2, ["key=value"]),
        (["train", "{split}", "--model", "ease", "-p", "reg_weight=-1"], 2, ["reg_weight"]),
        (["train", "{split}"], 2, ["--model"]),
        (["train", "{model}", "--model", "pop"], 3, ["model"]),
        (["train", "{split}", "--model", "pop", "-o", "no/such/x.npz"], 4, ["no such folder"]),
        (["train", "{split}", "--model", "pop", "-o", "/dev/full"], 4, ["no space left"]),
        (["recommend", "{split}"], 3, ["is no model"]),
        (["recommend", "{model}", "-k", "0"], 2, ["-k"]),
        (["recommend", "{model}", "--phase", "tset"], 2, ["did you mean test?"]),
        (["recommend", "{model}", "--users", "@nobody.txt"], 4, ["nobody.txt"]),
        (["evaluate", "{model}", "--metrics", "ndgc@10"], 2, ["did you mean ndcg?"]),
        (["evaluate", "{model}", "--metrics", "ndcg"], 2, ["ndcg@10"]),
        (["evaluate", "{model}", "--assert", "ndcg@10 is good"], 2, ["assertion"]),
        (["evaluate", "{split}"], 3, ["neither"]),
        (["models", "eaes"], 2, ["did you mean ease?"]),
        (["metrics", "ndgc"], 2, ["did you mean ndcg?"]),
        (["show", "{sample}"], 3, ["not an artifact"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else str(value),
)
def test_mistakes(
    recli: Runner, sample: Path, split: str, model: str, arguments: list[str], code: int, texts: list[str]
) -> None:
    given = [text.format(sample=sample, split=split, model=model) for text in arguments]
    check(recli(*given), code, *texts)


def test_a_bad_line_is_named(recli: Runner, tmp_path: Path) -> None:
    (tmp_path / "bad.inter").write_text("user_id:token\titem_id:token\trating:float\nu\ti\t1\nu\tj\nu\tk\tx\n")
    check(recli("split", "bad.inter"), 3, "bad.inter:3: ", "--bad-rows skip")
    done = recli("convert", "bad.inter", "--bad-rows", "skip")
    assert done.returncode == 0 and "2 bad rows left out" in done.stderr


def test_a_cut_off_over_k(recli: Runner, model: str) -> None:
    recs = recli("recommend", model, "-k", 5, "-q").stdout.strip()
    check(recli("evaluate", recs, "--metrics", "ndcg@10"), 2, "lists of 5", "-k 10")


def test_a_split_that_changed(recli: Runner, sample: Path, split: str, model: str, tmp_path: Path) -> None:
    recli("split", sample, "--seed", 7, "-o", split, "-f")
    check(recli("recommend", model), 3, "is not the split")
    (tmp_path / split).unlink()
    check(recli("recommend", model), 4, "--split")


@pytest.mark.skipif(os.geteuid() != 0, reason="made for root, whom a folder's mode does not stop")
def test_a_read_only_folder_is_refused_before_the_work(shell: Runner, split: str) -> None:
    # Root without the capability that overrides modes is stopped like anybody else.
    plain = "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search"
    train = f"{plain} recli train {split} --model pop -o ro/x.npz"
    check(shell(f"mkdir ro && chmod 555 ro && {train}; code=$?; ls -A ro; exit $code"), 4, "cannot be written")


def test_a_file_size_limit(recli: Runner, sample: Path, split: str, tmp_path: Path) -> None:
    before = (tmp_path / split).read_bytes()
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))  # noqa: E731
    check(recli("split", sample, "--seed", 3, "-o", split, preexec_fn=limit), 4, "too large")
    assert (tmp_path / split).read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_control_characters_do_not_reach_the_terminal(recli: Runner, tmp_path: Path) -> None:
    name = "bad\x1b[31m.inter"
    (tmp_path / name).write_text("user_id:token\titem_id:token\nu\n")
    done = recli("split", name)
    assert done.returncode == 3 and "\x1b" not in done.stderr


def test_debug_shows_the_traceback(recli: Runner) -> None:
    done = recli("--debug", "split", "missing.inter")
    assert "Traceback" in done.stderr


def test_training_that_leads_nowhere(recli: Runner, split: str, tmp_path: Path) -> None:
    check(recli("train", split, "--model", "als", "-p", "reg_weight=1e6"), 6, "lower reg_weight")
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), 5),
        (OSError(28, "No space left on device", "x"), 4),
        (ValueError("odd"), 70),
        (KeyError("odd"), 70),
    ],
    ids=repr,
)
def test_every_exception_has_its_code(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    from recli.cli import _report

    assert _report(error) == code
    assert capsys.readouterr().err.startswith("recli: error: ")
