"""The leak guard: what makes a figure better than the model is is told, and refused under --strict."""

import random
from pathlib import Path

import polars as pl
import pytest

from recli.artifact import load
from tests.cli.made_up import document, run_in

USERS, ITEMS = 12, 40
METRIC = ("--metrics", "ndcg@5")


def rows(times: int, again: bool) -> list[tuple[str, str, int]]:
    """A row a second; where ``again``, of few items, so that users come back to them."""
    rng = random.Random(5)
    found: dict[tuple[str, str], int] = {}
    events = []
    for second in range(times):
        pair = (f"u{rng.randrange(USERS)}", f"i{rng.randrange(6 if again else ITEMS)}")
        if again or pair not in found:
            found[pair] = second
            events.append((*pair, second))
    return events


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Splits by time of what users take once, and of what they come back to; models of train, and of all there is."""
    folder = tmp_path_factory.mktemp("leaks")
    for name, again in (("once", False), ("again", True)):
        lines = [f"{user},{item},{second}\n" for user, item, second in rows(300, again)]
        (folder / f"{name}.csv").write_text("user_id,item_id,timestamp\n" + "".join(lines))
    options = ("--strategy", "time", "--at", "0.7,0.8", "-o", "{name}.split.parquet", "-q")
    assert run_in(folder, "split", "once.csv", "again.csv", *options).returncode == 0
    splits = ("once.split.parquet", "again.split.parquet")
    assert run_in(folder, "train", *splits, "--model", "pop", "-o", "{name}.npz", "-q").returncode == 0
    for fit_on, name in (("all", "everything"), ("train,valid", "late")):
        options = ("--model", "pop", "--fit-on", fit_on, "-o", f"{name}.npz", "-q")
        assert run_in(folder, "train", splits[0], *options).returncode == 0
    part(folder, "once", "train").write_csv(folder / "train.csv")
    part(folder, "once", "test").drop("timestamp").write_csv(folder / "truth.csv")
    return folder


def part(folder: Path, name: str, which: str) -> pl.DataFrame:
    return load(folder / f"{name}.split.parquet").frame(which).drop("split")


def pairs(frame: pl.DataFrame) -> set[tuple[str, str]]:
    return set(frame.select("user_id", "item_id").iter_rows())


def leaks(folder: Path, *arguments: object) -> list[str]:
    """As the JSON has them; each is a warning too."""
    done = run_in(folder, "evaluate", *arguments, *METRIC, "--json")
    found = list(document(done)["leaks"])
    warned = [line.partition(": warning: ")[2] for line in done.stderr.splitlines() if "warning: " in line]
    assert warned == [f"{arguments[0]}: {leak}" for leak in found]
    return found


class TestNothingLeaks:
    def test_from_train(self, work: Path) -> None:
        assert leaks(work, "once.npz", "--strict") == []
        assert leaks(work, "late.npz", "--strict") == []  # what is fitted on valid may be held to test

    def test_where_users_come_back(self, work: Path) -> None:
        """The pair stands in train, the row does not."""
        train, test = (pairs(part(work, "again", which)) for which in ("train", "test"))
        assert train & test
        assert leaks(work, "again.npz", "--rolling", "--strict") == []

    def test_into_lists_of_another_program(self, work: Path) -> None:
        (work / "new.csv").write_text("user_id,item_id,rank\n" + "".join(f"u{u},new,1\n" for u in range(USERS)))
        assert leaks(work, "new.csv", "--truth", "truth.csv", "--train", "train.csv", "--strict") == []


class TestHeldOutRowsInTrain:
    def test_of_a_model_of_everything(self, work: Path) -> None:
        everything, test = rows(300, False), part(work, "once", "test")
        late = len([second for *_, second in everything if second >= test["timestamp"].min()])
        assert late == test.height < len(everything)
        assert leaks(work, "everything.npz") == [
            f"{test.height} of {test.height} held-out rows stand in what the model was trained on",
            f"{late} of {len(everything)} rows of training are not older than the cut of the split by time",
        ]

    def test_of_a_model_of_valid_held_to_valid(self, work: Path) -> None:
        first, second = leaks(work, "late.npz", "--phase", "valid")
        n = part(work, "once", "valid").height
        trained = n + part(work, "once", "train").height
        assert first.startswith(f"{n} of {n} held-out rows") and second.startswith(f"{n} of {trained} rows of training")

    def test_of_its_lists(self, work: Path) -> None:
        run_in(work, "recommend", "everything.npz", "-o", "everything.recs.parquet")
        assert leaks(work, "everything.recs.parquet") == leaks(work, "everything.npz")

    def test_of_lists_of_another_program(self, work: Path) -> None:
        """Some rows of train are put into the truth, which has no times."""
        train = part(work, "once", "train").drop("timestamp")
        pl.concat([pl.read_csv(work / "truth.csv"), train.head(7)]).write_csv(work / "mixed.csv")
        (work / "new.csv").write_text("user_id,item_id,rank\nu1,new,1\n")
        n = part(work, "once", "test").height + 7
        found = leaks(work, "new.csv", "--truth", "mixed.csv", "--train", "train.csv")
        assert found == [f"7 of {n} held-out rows stand in what the model was trained on"]


class TestSeenItemsInLists:
    def test_of_a_model_that_may_list_them(self, work: Path) -> None:
        run_in(work, "recommend", "once.npz", "--allow-seen", "-k", 5, "-o", "seen.recs.parquet")
        listed = load(work / "seen.recs.parquet").frame()
        seen = len(pairs(listed) & pairs(part(work, "once", "train")))
        assert 0 < seen < listed.height
        expected = [f"{seen} of {listed.height} recommended items were seen by their users in training"]
        assert leaks(work, "seen.recs.parquet") == leaks(work, "once.npz", "--allow-seen") == expected

    @pytest.mark.parametrize(
        "options",
        [("--truth", "truth.csv", "--train", "train.csv"), ("--truth", "once.split.parquet")],
        ids=["from a table", "from the split"],
    )
    def test_of_lists_of_another_program(self, work: Path, options: tuple[str, ...]) -> None:
        train, rng = sorted(pairs(part(work, "once", "train"))), random.Random(1)
        listed = sorted({(f"u{rng.randrange(USERS)}", f"i{rng.randrange(ITEMS)}") for _ in range(50)} | set(train[::9]))
        (work / "theirs.csv").write_text("user_id,item_id\n" + "".join(f"{user},{item}\n" for user, item in listed))
        seen = sum(pair in train for pair in listed)
        assert 0 < seen < len(listed)
        expected = f"{seen} of {len(listed)} recommended items were seen by their users in training"
        assert leaks(work, "theirs.csv", *options) == [expected]


class TestStrict:
    def test_writes_nothing(self, work: Path) -> None:
        options = ("-o", "strict.metrics.json", "--per-user", "strict.users.parquet", "--strict")
        done = run_in(work, "evaluate", "everything.npz", *METRIC, *options)
        assert done.returncode == 3 and done.stdout == ""
        assert "recli: error: everything.npz: " in done.stderr and "held-out rows" in done.stderr
        assert not list(work.glob("strict.*")) and not list(work.glob(".*tmp"))

    def test_prints_nothing(self, work: Path) -> None:
        options = ("-o", "{name}.now.metrics.json", "--strict", "-q")
        done = run_in(work, "evaluate", "once.npz", "everything.npz", *METRIC, *options)
        assert done.returncode == 3 and done.stdout == ""
        assert "recli: error: everything.npz: " in done.stderr and "once.npz" not in done.stderr

    def test_refuses_what_was_written_without_it(self, work: Path) -> None:
        options = ("-o", "lax.metrics.json", *METRIC)
        lax = run_in(work, "evaluate", "everything.npz", *options)
        held = (work / "lax.metrics.json").read_bytes()
        assert lax.returncode == 0 and len(load(work / "lax.metrics.json").document["leaks"]) == 2
        done = run_in(work, "evaluate", "everything.npz", *options, "--strict")
        assert done.returncode == 3 and done.stdout == "" and "up to date" in done.stderr
        assert (work / "lax.metrics.json").read_bytes() == held

    def test_comes_before_the_verdict(self, work: Path) -> None:
        options = ("--assert", "ndcg@5>=2", "--strict", "-q")
        done = run_in(work, "evaluate", "everything.npz", *METRIC, *options)
        assert done.returncode == 3 and len(done.stderr.splitlines()) == 2 and "held-out rows" in done.stderr
