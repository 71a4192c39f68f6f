"""What would take more memory than there is, is refused before it is allocated."""

from pathlib import Path

import pytest

from recli import memory
from recli.errors import Exit, RecliError
from tests.conftest import Runner


@pytest.mark.parametrize("text", ["", "0", "G", "-1G", "4X", "1,5G", "4 GB s"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(RecliError) as caught:
        memory.parse(text)
    assert caught.value.code == Exit.USAGE


def test_the_limit_is_what_was_said_else_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    free = memory.limit()
    assert free is not None
    assert 0 < free < 1 << 50
    monkeypatch.setenv(memory.VARIABLE, "3K")
    assert memory.limit() == 3072
    memory.reserve(3072, "this", "")
    with pytest.raises(RecliError, match="that would take about 3 KiB, and 3 KiB is allowed") as caught:
        memory.reserve(3073, "that", "less")
    assert (caught.value.code, caught.value.hint) == (Exit.MEMORY, "less")


def test_train_and_recommend_keep_to_it(recli: Runner, sample: Path, tmp_path: Path) -> None:
    split = recli("split", sample, "-q").stdout.strip()
    small = recli("train", split, "--model", "ease", "--max-memory", "200K")
    assert small.returncode == 5
    assert "matrix would take about" in small.stderr
    assert not list(tmp_path.glob("*.npz"))
    model = recli("train", split, "--model", "ease", "--max-memory", "1G", "-q").stdout.strip()
    lists = recli("recommend", model, "-k", 300, "--max-memory", "100K")
    assert (lists.returncode, lists.stdout) == (5, "")
    assert "a smaller k" in lists.stderr
    assert recli("train", split, "--model", "ease", "--max-memory", "lots").returncode == 2


def test_a_list_holds_every_item_at_most(recli: Runner, sample: Path) -> None:
    model = recli("train", recli("split", sample, "-q").stdout.strip(), "--model", "pop", "-q").stdout.strip()
    assert recli("recommend", model, "-k", 100_000_000, "-q").returncode == 0
    assert recli("evaluate", model, "--metrics", "ndcg@100000000", "-q").returncode == 5
