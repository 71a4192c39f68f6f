"""The gates of recli evaluate: --baseline with --max-drop, and --assert."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from recli.artifact import load
from recli.errors import RecliError
from recli.metrics import METRICS
from recli.metrics.dialects import DIALECTS
from recli.pipeline.gate import Verdict, open_gate
from tests.cli.made_up import document, run_in, write

USERS = [f"u{number}" for number in range(20)]
TRUTH = {user: [f"i{user}"] for user in USERS}
# hit@1 of half of the users, of two less, and of all; what is no hit is liked by one, or by three.
LISTS = {
    "old": {user: [f"i{user}" if at < 10 else "dull"] for at, user in enumerate(USERS)},
    "worse": {user: [f"i{user}" if 1 < at < 10 else "loved"] for at, user in enumerate(USERS)},
    "best": TRUTH,
}
TRAIN = {"x": ["dull", "loved"], "y": ["loved"], "z": ["loved"]}
ASKED = ("--truth", "truth.csv", "--train", "train.csv", "--metrics", "hit@1,popularity@1,gini@1")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    write(folder / "truth.csv", TRUTH, "")
    write(folder / "other.csv", {user: TRUTH[user] for user in USERS[:15]}, "")
    write(folder / "train.csv", TRAIN, "")
    for name, lists in LISTS.items():
        write(folder / f"{name}.csv", lists)
    files = ("-o", "{name}.metrics.json", "--per-user", "{name}.users.parquet", "-q")
    assert run_in(folder, "evaluate", "old.csv", "worse.csv", "best.csv", *ASKED, *files).returncode == 0
    (folder / "old.json").write_text(run_in(folder, "evaluate", "old.csv", *ASKED, "--json", "-q").stdout)
    asked = ("--truth", "other.csv", "--metrics", "hit@1", "-o", "other.metrics.json", "-q")
    assert run_in(folder, "evaluate", "old.csv", *asked).returncode == 0
    return folder


def verdicts(folder: Path, now: str, drop: str = "0", baseline: str = "old.metrics.json") -> dict[str, Verdict]:
    """By metric, without a process of its own."""
    path = folder / f"{now}.metrics.json"
    found = open_gate(folder / baseline, drop, METRICS).verdicts(load(path).document, path)
    return {verdict.said.split()[0]: verdict for verdict in found}


def failures(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("recli: assertion failed: ")]


def interval(differences: np.ndarray) -> tuple[float, float]:
    """Of their mean, by brute force."""
    means = differences[np.random.default_rng(0).integers(0, len(differences), (20_000, len(differences)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


class TestTheBound:
    @pytest.mark.parametrize(
        ("drop", "holds"),
        [("0", False), ("0.1", True), ("0.0999", False), ("1e-1", True), (".1", True), ("1", True),
         ("20%", True), ("20 %", True), ("19.9%", False), ("0%", False), ("100%", True), ("10%", False)],
    )  # fmt: skip
    def test_of_a_drop_from_a_half_by_a_tenth(self, work: Path, drop: str, holds: bool) -> None:
        assert verdicts(work, "worse", drop)["hit@1"].holds is holds

    @pytest.mark.parametrize("drop", ["0", "0%", "1%"])
    def test_what_rises_or_stays_has_not_dropped(self, work: Path, drop: str) -> None:
        assert verdicts(work, "best", drop)["hit@1"].holds
        assert all(verdict.holds for verdict in verdicts(work, "old", drop).values())

    def test_where_smaller_is_better_a_rise_is_a_drop(self, work: Path) -> None:
        """From one user in ten lists of 20 to three in twelve: from 0.5 to 1.8, and to 0."""
        risen, fallen = verdicts(work, "worse"), verdicts(work, "best")
        assert not risen["popularity@1"].holds and "was 0.5000, is 1.8000 (+1.3000" in risen["popularity@1"].said
        assert fallen["popularity@1"].holds and "is 0.0000" in fallen["popularity@1"].said
        assert verdicts(work, "worse", "1.3")["popularity@1"].holds
        assert not verdicts(work, "worse", "259%")["popularity@1"].holds
        assert verdicts(work, "worse", "260%")["popularity@1"].holds

    @pytest.mark.parametrize(
        "drop", ["", "%", "x", "nan", "inf", "-1", "-1%", "1e400", "1%%", "1,5", "5 percent", "٣", "0x1"]
    )
    def test_what_is_none(self, work: Path, drop: str) -> None:
        with pytest.raises(RecliError, match=f"--max-drop cannot be {re.escape(repr(drop))}") as caught:
            open_gate(work / "old.metrics.json", drop, METRICS)
        assert caught.value.code == 2

    def test_without_a_baseline(self, work: Path) -> None:
        done = run_in(work, "evaluate", "old.csv", *ASKED, "--max-drop", "1%")
        assert done.returncode == 2 and done.stdout == "" and "--baseline" in done.stderr


class TestTheInterval:
    @pytest.mark.parametrize("baseline", ["old.metrics.json", "old.users.parquet"])
    def test_is_paired_on_the_same_rows(self, work: Path, baseline: str) -> None:
        said = verdicts(work, "best", baseline=baseline)["hit@1"].said
        low, high = map(float, re.findall(r"interval ([+-][0-9.]+) to ([+-][0-9.]+), paired by 20 users", said)[0])
        expected = interval(np.array([0.0] * 10 + [1.0] * 10))
        assert (low, high) == pytest.approx(expected, abs=0.02)
        assert "was 0.5000, is 1.0000 (+0.5000, +100.00%; " in said

    def test_is_unpaired_on_others(self, work: Path) -> None:
        said = verdicts(work, "best", baseline="other.metrics.json")["hit@1"].said
        low, high = map(float, re.findall(r"interval ([+-][0-9.]+) to ([+-][0-9.]+), other data, so unpaired", said)[0])
        # Every user of the best lists is hit: all chance is in the 15 of the baseline, of whom 10 are.
        below, above = interval(1 - np.array([1.0] * 10 + [0.0] * 5))
        assert (low, high) == pytest.approx((below, above), abs=0.03)

    @pytest.mark.parametrize(("baseline", "metric"), [("old.json", "hit@1"), ("old.metrics.json", "gini@1")])
    def test_takes_values_by_user(self, work: Path, baseline: str, metric: str) -> None:
        found = verdicts(work, "worse", baseline=baseline)[metric]
        assert "without values by user, so without an interval" in found.said

    def test_of_queries(self, work: Path) -> None:
        """A user's second row is their second query."""
        (work / "rows.csv").write_text("user_id,item_id\na,x\na,y\nb,x\n")
        (work / "queries.csv").write_text("user_id,query,item_id\na,0,x\na,1,z\nb,0,x\n")
        options = ("--truth", "rows.csv", "--metrics", "hit@1", "-q")
        run_in(work, "evaluate", "queries.csv", *options, "-o", "queries.metrics.json")
        said = verdicts(work, "queries", baseline="queries.metrics.json")["hit@1"].said
        assert "was 0.6667, is 0.6667" in said and "paired by 2 users" in said


class TestWhatIsNoBaseline:
    @pytest.mark.parametrize(
        "text", ["{}", '{"metrics": {}}', '{"metrics": [1]}', '{"metrics": {"hit@1": 0.3}}', "", "["]
    )
    def test_a_file_without_metrics(self, work: Path, text: str) -> None:
        (work / "no.json").write_text(text)
        with pytest.raises(RecliError, match=r"no\.json: holds no metrics") as caught:
            open_gate(work / "no.json", "0", METRICS)
        assert caught.value.code == 3

    def test_a_value_that_is_none(self, work: Path) -> None:
        (work / "no.json").write_text(
            json.dumps({"metrics": {"hit@1": {"value": "0.3", "definition": "hit/binary/any"}}})
        )
        with pytest.raises(RecliError, match="holds no metrics"):
            open_gate(work / "no.json", "0", METRICS)

    @pytest.mark.parametrize("name", ["old.csv", "truth.csv"])
    def test_a_table(self, work: Path, name: str) -> None:
        with pytest.raises(RecliError, match="holds no metrics") as caught:
            open_gate(work / name, "0", METRICS)
        assert caught.value.code == 3

    def test_a_file_that_is_not_there_or_damaged(self, work: Path) -> None:
        with pytest.raises(RecliError, match="no such file") as caught:
            open_gate(work / "nosuch.metrics.json", "0", METRICS)
        assert caught.value.code == 4
        (work / "edited.metrics.json").write_text((work / "old.metrics.json").read_text().replace("0.5,", "0.1,"))
        with pytest.raises(RecliError, match="damaged") as caught:
            open_gate(work / "edited.metrics.json", "0", METRICS)
        assert caught.value.code == 3

    def test_other_metrics(self, work: Path) -> None:
        path = work / "no.json"
        path.write_text(json.dumps({"metrics": {"mrr@7": {"value": 0.3, "definition": "mrr"}}}))
        with pytest.raises(RecliError, match="holds none of these metrics") as caught:
            verdicts(work, "old", baseline="no.json")
        assert caught.value.code == 2 and caught.value.hint == "it holds mrr@7"

    @pytest.mark.parametrize(
        ("fact", "other"),
        [("definition", "hit/other"), ("population", "everybody"), ("candidates", "all"), ("seen", "masked"),
         ("relevant", "rating>=4"), ("gain", "linear")],
    )  # fmt: skip
    def test_one_that_measured_another_thing(self, work: Path, fact: str, other: str) -> None:
        held = json.loads((work / "old.json").read_text())
        held["metrics"]["hit@1"][fact] = other
        (work / "apart.json").write_text(json.dumps(held))
        with pytest.raises(
            RecliError, match=f"apart.json: hit@1: {fact} is '.*' of .*, and '{other}' of apart"
        ) as caught:
            verdicts(work, "old", baseline="apart.json")
        assert caught.value.code == 2

    def test_the_phase_is_other_data_not_another_thing(self, work: Path) -> None:
        held = json.loads((work / "old.json").read_text())
        for entry in held["metrics"].values():
            entry["phase"] = "valid"
        (work / "valid.json").write_text(json.dumps(held))
        assert verdicts(work, "old", baseline="valid.json")["hit@1"].holds

    def test_a_name_of_another_dialect_is_no_bar_where_it_is_not_asked_for(self, work: Path) -> None:
        gate = open_gate(work / "old.metrics.json", "0", DIALECTS["trec"])  # which has no gini
        with pytest.raises(RecliError, match=r"old.metrics.json: there is no metric 'popularity'") as caught:
            assert gate.metrics
        assert caught.value.code == 2 and caught.value.hint is not None and "--metrics" in caught.value.hint
        options = ("--truth", "truth.csv", "--dialect", "ranx", "--metrics", "hit@1")
        done = run_in(work, "evaluate", "old.csv", *options, "--baseline", "old.metrics.json")
        assert done.returncode == 0 and "no drop: hit@1 was 0.5000, is 0.5000" in done.stderr


class TestUndefined:
    @pytest.mark.parametrize(
        ("now", "before", "holds"), [(None, 0.5, False), (0.5, None, True), (None, None, False)], ids=str
    )
    def test_is_no_value_to_ship(self, work: Path, now: float | None, before: float | None, holds: bool) -> None:
        held = json.loads((work / "old.json").read_text())
        held["metrics"]["hit@1"]["value"] = before
        (work / "before.json").write_text(json.dumps(held))
        path = work / "old.metrics.json"
        found = load(path).document
        found["metrics"]["hit@1"]["value"] = now
        verdict = open_gate(work / "before.json", "1%", METRICS).verdicts(found, path)[0]
        assert verdict.holds is holds and "undefined" in verdict.said

    def test_fails_an_assertion(self, work: Path) -> None:
        (work / "nobody.csv").write_text("user_id,item_id\nstranger,i1\n")
        options = ("--truth", "truth.csv", "--dialect", "trec", "--metrics", "hit@1", "--assert", "hit@1<2")
        done = run_in(work, "evaluate", "nobody.csv", *options)
        assert done.returncode == 1 and failures(done)[0].endswith("hit@1 is None, not < 2")


class TestTheCommand:
    def test_a_line_for_each_metric_that_failed(self, work: Path) -> None:
        options = (*ASKED[:4], "--baseline", "old.metrics.json", "--max-drop", "1%", "-q", "-o", "{name}.now.json")
        done = run_in(work, "evaluate", "worse.csv", "best.csv", *options)
        assert done.returncode == 1 and done.stdout.split() == ["worse.now.json", "best.now.json"]
        # What the baseline holds is measured, where nothing else is asked for.
        for path in done.stdout.split():
            assert list(load(work / path).document["metrics"]) == ["hit@1", "popularity@1", "gini@1"]
        lines = done.stderr.splitlines()
        starts = ("worse.csv: hit@1 was ", "worse.csv: popularity@1 was ", "best.csv: gini@1 is undefined, and was 0.5")
        assert len(lines) == 3
        for line, start in zip(lines, starts, strict=True):
            assert line.startswith(f"recli: assertion failed: {start}")
        assert all(line.endswith(", more than the drop of 1 % that is allowed") for line in lines[:2])

    def test_json_stays_one_document(self, work: Path) -> None:
        options = ("--baseline", "old.metrics.json", "--json", "--assert", "hit@1>=0.9", "--assert", "hit@1<=1")
        done = run_in(work, "evaluate", "worse.csv", *ASKED, *options)
        found = document(done, 1)
        assert found["metrics"]["hit@1"]["value"] == 0.4 and "per_user" not in found
        assert len(failures(done)) == 3 and failures(done)[0].endswith("hit@1 is 0.4, not >= 0.9")
        assert "recli evaluate: assertion holds: hit@1 is 0.4, <= 1" in done.stderr.splitlines()

    def test_with_a_file_and_from_the_cache(self, work: Path) -> None:
        """The file is the evaluation; the verdict is no part of it, and is given again."""
        options = ("-o", "now.metrics.json", "--baseline", "old.metrics.json", "--max-drop", "0.05")
        first = run_in(work, "evaluate", "worse.csv", *ASKED, *options)
        held = (work / "now.metrics.json").read_bytes()
        again = run_in(work, "evaluate", "worse.csv", *ASKED, *options)
        for done in (first, again):
            assert done.returncode == 1 and done.stdout == "now.metrics.json\n" and len(failures(done)) == 2
        assert failures(again) == failures(first) and "paired by 20 users" in failures(first)[0]
        assert "now.metrics.json: up to date" in again.stderr and (work / "now.metrics.json").read_bytes() == held

    def test_what_is_asserted_is_measured(self, work: Path) -> None:
        options = ("--truth", "truth.csv", "--metrics", "hit@1", "--assert", "mrr@1 >= 0.5", "--assert", "mrr@1==0.5")
        done = run_in(work, "evaluate", "old.csv", *options)
        assert done.returncode == 0 and "mrr@1\t0.5" in done.stdout
        assert done.stderr.count("assertion holds: mrr@1 is 0.5, ") == 2

    def test_a_drop_does_not_become_the_next_baseline(self, work: Path) -> None:
        """The second run of what failed would pass."""
        (work / "kept.metrics.json").write_bytes((work / "old.metrics.json").read_bytes())
        options = ("-o", "kept.metrics.json", "--baseline", "kept.metrics.json", "-q")
        done = run_in(work, "evaluate", "worse.csv", *ASKED, *options)
        assert done.returncode == 2
        assert (work / "kept.metrics.json").read_bytes() == (work / "old.metrics.json").read_bytes()

    def test_a_baseline_that_does_not_fit_is_an_error_and_nothing_else(self, work: Path) -> None:
        options = ("--truth", "truth.csv", "--dialect", "trec", "--metrics", "hit@1", "--baseline", "old.metrics.json")
        done = run_in(work, "evaluate", "old.csv", *options)
        assert done.returncode == 2 and "population is" in done.stderr
        assert done.stdout == ""
