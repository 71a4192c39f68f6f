"""recli compare: every figure against plain loops, scipy and a bootstrap of its own; and what is not compared."""

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from recli.artifact import load
from recli.cli.judging import judging
from recli.errors import RecliError
from recli.pipeline import compare as pipeline
from recli.pipeline.step import Output
from tests.cli.made_up import document, hit, ndcg, recall, run_in, some_lists, some_truth, write
from tests.conftest import ROOT

USERS = 60
TRUTH = some_truth(USERS, 1)
LISTS = {"a": some_lists(TRUTH, 0.1, 2), "b": some_lists(TRUTH, 0.25, 3), "c": some_lists(TRUTH, 0.12, 4)}
METRICS = {"ndcg@5": (ndcg, 5), "hit@3": (hit, 3), "recall@5": (recall, 5)}
ASKED = ("--truth", "truth.csv", "--metrics", ",".join(METRICS))

Compare = Callable[..., subprocess.CompletedProcess[str]]


def values(name: str, metric: str) -> np.ndarray:
    function, k = METRICS[metric]
    return np.array([function(LISTS[name][user], relevant, k) for user, relevant in TRUTH.items()])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lists of three programs, and their metrics in each form that evaluate writes."""
    folder = tmp_path_factory.mktemp("compare")
    write(folder / "truth.csv", TRUTH, "")
    other = {user: relevant[:1] for user, relevant in list(TRUTH.items())[:40]}
    write(folder / "other.csv", other, "")
    write(folder / "train.csv", some_truth(50, 9), "")
    for name, lists in LISTS.items():
        write(folder / f"{name}.csv", lists)
    write(folder / "half.csv", dict(list(LISTS["b"].items())[::2]))
    write(folder / "nobody.csv", {"stranger": ["i1"]})
    write(folder / "noone.csv", {"stranger": ["i2"]})
    files = ("-o", "{name}.metrics.json", "--per-user", "{name}.users.parquet")
    assert run_in(folder, "evaluate", "a.csv", "b.csv", "c.csv", *ASKED, *files).returncode == 0
    (folder / "b.json").write_text(run_in(folder, "evaluate", "b.csv", *ASKED, "--json").stdout)
    (folder / "sub").mkdir()
    (folder / "sub" / "a.metrics.json").write_bytes((folder / "c.metrics.json").read_bytes())
    return folder


@pytest.fixture(scope="module")
def compare(work: Path) -> Compare:
    return lambda *arguments, **options: run_in(work, "compare", *arguments, **options)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of the sample data, and their lists."""
    folder = tmp_path_factory.mktemp("ours")
    run_in(folder, "split", ROOT / "sample_data" / "sample.inter")
    for model in ("pop", "ease"):
        run_in(folder, "train", "sample.split.parquet", "--model", model)
    done = run_in(folder, "recommend", "sample.pop.npz", "sample.ease.npz", "-q")
    assert done.stdout.split() == ["sample.pop.recs.parquet", "sample.ease.recs.parquet"], done.stderr
    load(folder / "sample.ease.recs.parquet").frame().select("user_id", "item_id", "rank").write_csv(
        folder / "theirs.csv"
    )
    return folder


def by_name(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["input"], row["metric"]): row for row in found["metrics"]}


def compared(folder: Path, *names: str, different: bool = False, **options: str) -> dict[str, Any]:
    """As ``--json`` has it, without a process of its own."""
    paths = {"truth", "train"} & options.keys()
    asked = judging(**{name: folder / text if name in paths else text for name, text in options.items()})  # type: ignore[arg-type]
    inputs = [folder / name for name in names]
    return pipeline.compare(inputs, asked, Output(), different=different).document()


def refusal(folder: Path, *names: str, **options: str) -> RecliError:
    with pytest.raises(RecliError) as caught:
        compared(folder, *names, **options)
    return caught.value


def refused(done: subprocess.CompletedProcess[str], code: int, *texts: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == "" and done.stderr.count("recli: error: ") == 1 and "Traceback" not in done.stderr
    for text in texts:
        assert text in done.stderr, done.stderr


def adjusted(p: Sequence[float]) -> list[float]:
    """Holm's, as a loop."""
    found = [0.0] * len(p)
    least = 0.0
    for place, at in enumerate(sorted(range(len(p)), key=lambda at: p[at])):
        least = max(least, min(1.0, (len(p) - place) * p[at]))
        found[at] = least
    return found


@pytest.fixture(scope="module")
def found(compare: Compare) -> dict[str, Any]:
    return document(compare("a.csv", "b.csv", "c.csv", *ASKED, "--json", "-q"))


class TestFigures:
    def test_the_first_is_the_reference(self, found: dict[str, Any]) -> None:
        assert found["reference"] == "a" and found["inputs"] == ["a", "b", "c"] and found["warnings"] == []
        assert [row["metric"] for row in found["metrics"]] == [metric for metric in METRICS for _ in "abc"]
        assert all("difference" not in row for row in found["metrics"] if row["input"] == "a")

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("name", ["b", "c"])
    def test_a_difference_by_hand(self, found: dict[str, Any], name: str, metric: str) -> None:
        row, one, first = by_name(found)[name, metric], values(name, metric), values("a", metric)
        apart = one - first
        assert row["value"] == pytest.approx(one.mean(), rel=1e-12)
        assert row["difference"] == pytest.approx(apart.mean(), rel=1e-9)
        assert row["relative"] == pytest.approx(apart.mean() / first.mean(), rel=1e-9)
        assert (row["paired"], row["users"], row["dropped"]) == (True, USERS, 0)
        assert row["wins"] == sum(left > right for left, right in zip(one, first, strict=True))
        assert row["losses"] == sum(left < right for left, right in zip(one, first, strict=True))
        assert row["ties"] == USERS - row["wins"] - row["losses"]
        assert row["effect"] == pytest.approx(apart.mean() / np.std(apart, ddof=1), rel=1e-9)
        assert row["p_t"] == pytest.approx(stats.ttest_rel(one, first).pvalue, rel=1e-9)

    @pytest.mark.parametrize("name", ["b", "c"])
    def test_chance_by_brute_force(self, found: dict[str, Any], name: str) -> None:
        row, apart = by_name(found)[name, "ndcg@5"], values(name, "ndcg@5") - values("a", "ndcg@5")
        rng = np.random.default_rng(0)
        means = apart[rng.integers(0, USERS, (20_000, USERS))].mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        assert [row["low"], row["high"]] == pytest.approx([low, high], abs=0.05 * (high - low))
        flipped = np.abs((apart * rng.choice([-1, 1], (20_000, USERS))).mean(axis=1))
        assert row["p_randomization"] == pytest.approx((flipped >= abs(apart.mean()) - 1e-12).mean(), abs=0.015)

    @pytest.mark.parametrize("test", ["p_t", "p_randomization"])
    def test_holm_is_over_all_differences(self, found: dict[str, Any], test: str) -> None:
        rows = [row for row in found["metrics"] if row["input"] != "a"]
        assert len(rows) == 6
        assert [row[f"{test}_holm"] for row in rows] == pytest.approx(adjusted([row[test] for row in rows]))

    def test_overlap_by_hand(self, found: dict[str, Any]) -> None:
        for row in found["overlap"]:
            jaccard, rbo = [], []
            for one, first in ((LISTS[row["input"]][user], LISTS["a"][user]) for user in TRUTH):
                jaccard.append(len(set(one) & set(first)) / len(set(one) | set(first)))
                agreed = [len(set(one[:depth]) & set(first[:depth])) / depth for depth in range(1, 6)]
                rbo.append(0.1 * sum(0.9**at * share for at, share in enumerate(agreed)) + 0.9**5 * agreed[-1])
            assert row["jaccard@5"] == pytest.approx(sum(jaccard) / USERS)
            assert row["rbo@5"] == pytest.approx(sum(rbo) / USERS)
        assert [row["input"] for row in found["overlap"]] == ["b", "c"]

    def test_a_table_says_the_same(self, found: dict[str, Any], compare: Compare) -> None:
        done = compare(*ASKED, input="a.csv\nb.csv\nc.csv\n")
        head, *lines = (line.split("\t") for line in done.stdout.splitlines())
        assert done.stderr == ""
        for line, row in zip(lines, found["metrics"], strict=False):
            shown = dict(zip(head, line, strict=True))
            p = shown.pop("p")
            assert p == ("" if row["input"] == "a" else str(row["p_randomization_holm"]))
            assert shown == {name: str(row.get(name, "")) for name in shown}
        assert [line[0] for line in lines[len(found["metrics"]) :]] == ["jaccard@5", "rbo@5"] * 2

    @pytest.mark.parametrize("form", ["metrics.json", "users.parquet"])
    def test_what_was_written_says_the_same(self, found: dict[str, Any], work: Path, form: str) -> None:
        again = compared(work, "a.csv", f"b.{form}", f"c.{form}", truth="truth.csv", metrics=",".join(METRICS))
        assert again["metrics"] == found["metrics"] and again["overlap"] == []

    def test_the_other_way_round(self, found: dict[str, Any], work: Path) -> None:
        turned = by_name(compared(work, "b.metrics.json", "a.users.parquet"))["a", "ndcg@5"]
        row = by_name(found)["b", "ndcg@5"]
        assert turned["difference"] == pytest.approx(-row["difference"]) and turned["wins"] == row["losses"]
        assert turned["p_t"] == pytest.approx(row["p_t"])


class TestWithoutValues:
    def test_what_was_printed_has_none_by_user(self, work: Path) -> None:
        row = by_name(compared(work, "a.metrics.json", "b.json"))["b", "ndcg@5"]
        difference = values("b", "ndcg@5").mean() - values("a", "ndcg@5").mean()
        assert row["difference"] == pytest.approx(difference) and "low" not in row and "wins" not in row

    def test_a_metric_of_all_lists_has_none_either(self, work: Path) -> None:
        asked = {"truth": "truth.csv", "train": "train.csv", "metrics": "gini@5,ndcg@5"}
        rows = by_name(compared(work, "a.csv", "b.csv", **asked))
        assert rows["b", "gini@5"].keys() == {
            "metric", "input", "value", "larger_is_better", "difference", "relative",
        }  # fmt: skip
        # One test is left, so that nothing is adjusted.
        assert rows["b", "ndcg@5"]["p_t_holm"] == rows["b", "ndcg@5"]["p_t"]

    def test_users_without_a_value_leave_the_difference(self, work: Path) -> None:
        """trec_eval has no value for who is not in the run."""
        asked = {"truth": "truth.csv", "dialect": "trec", "metrics": "ndcg@5"}
        row = by_name(compared(work, "a.csv", "half.csv", **asked))["half", "ndcg@5"]
        one, first = values("b", "ndcg@5")[::2], values("a", "ndcg@5")[::2]
        assert (row["users"], row["dropped"]) == (USERS // 2, USERS // 2)
        assert row["difference"] == pytest.approx((one - first).mean())
        assert row["relative"] == pytest.approx((one - first).mean() / first.mean())
        assert row["low"] < row["difference"] < row["high"]

    def test_nobody_has_a_value(self, compare: Compare, work: Path) -> None:
        asked = {"truth": "truth.csv", "dialect": "trec", "metrics": "ndcg@5"}
        found = compared(work, "nobody.csv", "noone.csv", **asked)  # a warning would be an error here
        assert [row["value"] for row in found["metrics"]] == [None, None]
        assert found["overlap"] == [{"input": "noone", "jaccard@5": None, "rbo@5": None}]
        done = compare("nobody.csv", "noone.csv", *(f"--{name}={text}" for name, text in asked.items()))
        assert done.returncode == 0 and done.stderr == "" and "nan" not in done.stdout


def test_smaller_may_be_better(work: Path) -> None:
    """Wins are the users for whom it is better: whose list is less popular."""
    asked = {"truth": "truth.csv", "train": "train.csv", "metrics": "popularity@5"}
    row = by_name(compared(work, "a.csv", "b.csv", **asked))["b", "popularity@5"]
    counts = dict(pl.read_csv(work / "train.csv").group_by("item_id").agg(pl.col("user_id").n_unique()).iter_rows())

    def popularity(name: str, user: str) -> float:
        return sum(counts.get(item, 0) for item in LISTS[name][user]) / 5

    pairs = [(popularity("b", user), popularity("a", user)) for user in TRUTH]
    assert row["wins"] == sum(one < first for one, first in pairs) != row["losses"]
    assert row["losses"] == sum(one > first for one, first in pairs)
    assert row["difference"] == pytest.approx(np.mean([one - first for one, first in pairs]))


@pytest.fixture(scope="module")
def other(work: Path) -> str:
    options = ("--truth", "other.csv", "--metrics", "ndcg@5,recall@5", "-o", "other.metrics.json", "-q")
    return run_in(work, "evaluate", "b.csv", *options).stdout.strip()


class TestOtherRows:
    def test_are_refused(self, compare: Compare, other: str) -> None:
        done = compare("a.metrics.json", other)
        refused(done, 2, "other.metrics.json: a and other are held to different rows", "--allow-different")

    def test_are_compared_unpaired_if_need_be(self, compare: Compare, other: str) -> None:
        done = compare("a.metrics.json", other, "b.metrics.json", "--allow-different", "--json")
        rows = by_name(document(done))
        row = rows["other", "recall@5"]
        held = {user: relevant[:1] for user, relevant in list(TRUTH.items())[:40]}
        one = np.array([recall(LISTS["b"][user], relevant, 5) for user, relevant in held.items()])
        first = values("a", "recall@5")
        assert not row["paired"] and (row["users_a"], row["users_b"]) == (40, USERS)
        assert row["difference"] == pytest.approx(one.mean() - first.mean())
        assert row.keys().isdisjoint({"p_t", "p_t_holm", "p_randomization", "wins", "effect"})
        rng = np.random.default_rng(0)
        means = one[rng.integers(0, 40, (20_000, 40))].mean(1) - first[rng.integers(0, 60, (20_000, 60))].mean(1)
        low, high = np.percentile(means, [2.5, 97.5])
        assert [row["low"], row["high"]] == pytest.approx([low, high], abs=0.05 * (high - low))
        # The third is held to the same rows as the first, whatever stands between them.
        assert rows["b", "recall@5"]["paired"]
        assert done.stderr.count("held to different rows") == 1

    def test_strictly_not_even_then(self, compare: Compare, other: str) -> None:
        refused(compare("a.metrics.json", other, "--allow-different", "--strict"), 3, "different rows")


class TestOtherThings:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"dialect": "rectools"}, "definition is"),
            ({"dialect": "trec"}, "population is"),
            ({"relevant": "item_id!=none"}, "relevant is"),
        ],
        ids=["definition", "population", "relevant"],
    )
    def test_of_the_same_name_are_refused(self, work: Path, options: dict[str, str], said: str) -> None:
        asked = {"truth": "truth.csv", "metrics": "ndcg@5"} | options
        error = refusal(work, "a.metrics.json", "b.csv", **asked)
        assert error.code == 2 and str(error).startswith(f"{work / 'b.csv'}: {said}")
        found = compared(work, "a.metrics.json", "b.csv", different=True, **asked)
        assert found["metrics"][1]["paired"] and found["warnings"][0].startswith(said)

    def test_what_sets_one_metric_apart_names_it(self, work: Path) -> None:
        """LensKit's precision has a denominator of its own, and its hit has not."""
        run_in(
            work, "evaluate", "a.csv", "--truth", "truth.csv", "--metrics", "hit@3,recall@5", "-o", "own.metrics.json"
        )
        asked = {"truth": "truth.csv", "dialect": "lenskit", "metrics": "hit@3,recall@5"}
        (warning,) = compared(work, "own.metrics.json", "b.csv", different=True, **asked)["warnings"]
        assert warning.startswith("recall@5: definition is 'recall/binary/denominator=R' of own, and ")

    def test_names_of_a_dialect_need_no_dialect(self, work: Path) -> None:
        options = ("--truth", "truth.csv", "--dialect", "recommenders", "--metrics", "map-r@5")
        run_in(work, "evaluate", "a.csv", "b.csv", *options, "-o", "{name}-r.metrics.json")
        rows = compared(work, "a-r.metrics.json", "b-r.metrics.json")["metrics"]
        assert [row["metric"] for row in rows] == ["map-r@5"] * 2 and rows[1]["users"] == USERS

    def test_one_is_none(self, compare: Compare) -> None:
        refused(compare("a.metrics.json"), 2, "one result cannot be compared")

    def test_nothing_in_common(self, work: Path) -> None:
        asked = {"truth": "truth.csv"}  # the usual metrics, at 10
        error = refusal(work, "a.metrics.json", "b.csv", **asked)
        assert error.code == 2 and "no metric in common" in str(error)
        assert error.hint is not None and error.hint.startswith("a: ndcg@5, hit@3, recall@5; b: recall@10")

    def test_a_metric_that_was_asked_for_is_not_left_out(self, work: Path) -> None:
        error = refusal(work, "a.metrics.json", "b.metrics.json", metrics="ndcg@5,mrr@5")
        assert error.code == 2 and str(error) == f"{work / 'a.metrics.json'}: has no mrr@5"

    @pytest.mark.parametrize(
        "text", ["{}", '{"metrics": {}}', '{"metrics": {"ndcg@5": {"value": "high", "definition": "x"}}}', "[", "3"]
    )
    def test_json_without_metrics(self, work: Path, text: str) -> None:
        (work / "no.json").write_text(text)
        error = refusal(work, "a.metrics.json", "no.json")
        assert error.code == 3 and str(error) == f"{work / 'no.json'}: holds no metrics"

    def test_two_forms(self, compare: Compare) -> None:
        refused(compare("a.metrics.json", "b.metrics.json", "--json", "--latex"), 2, "one form")


class TestNames:
    def test_two_of_a_name_go_by_their_paths(self, compare: Compare) -> None:
        found = document(compare("a.metrics.json", "sub/a.metrics.json", "b.users.parquet", "--json"))
        assert found["inputs"] == ["a.metrics.json", "sub/a.metrics.json", "b"]
        row = by_name(found)["sub/a.metrics.json", "ndcg@5"]
        assert row["value"] == pytest.approx(values("c", "ndcg@5").mean())

    def test_a_file_against_itself(self, work: Path) -> None:
        row = compared(work, "a.metrics.json", "a.metrics.json")["metrics"][1]
        assert (row["difference"], row["wins"], row["ties"], row["losses"]) == (0, 0, USERS, 0)
        assert (row["low"], row["high"], row["p_randomization"], row["p_t"]) == (0, 0, 1, None)


@pytest.fixture(scope="module")
def strange(work: Path) -> str:
    """A name with what Markdown and LaTeX take for something else."""
    (work / "b_%|2.metrics.json").write_bytes((work / "b.metrics.json").read_bytes())
    return "b_%|2.metrics.json"


class TestPapers:
    def test_markdown(self, compare: Compare, strange: str) -> None:
        done = compare("a.metrics.json", strange, "c.metrics.json", "--metrics", "ndcg@5,hit@3", "--markdown")
        head, rule, *body, blank, note = done.stdout.splitlines()
        assert head == "|  | ndcg@5 | hit@3 |" and rule == "| --- | ---: | ---: |" and blank == ""
        assert note.startswith("\\* p < 0.05 against a: ")
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in body]
        assert [row[0].strip() for row in rows] == ["a", r"b\_%\|2", "c"]
        cells = {(row[0].strip(), at): row[at].strip() for row in rows for at in (1, 2)}
        for at, metric in ((1, "ndcg@5"), (2, "hit@3")):
            means = {name: values(name, metric).mean() for name in "abc"}
            assert cells["a", at] == f"{means['a']:.4f}"
            assert means["b"] == max(means.values())
            assert cells[r"b\_%\|2", at].removesuffix(r"\*") == f"**{means['b']:.4f}**"
        # Of the figures above, that of b is more than chance, and that of c is not.
        assert cells[r"b\_%\|2", 1].endswith(r"**\*") and "*" not in cells["c", 1]

    def test_latex(self, compare: Compare, strange: str) -> None:
        done = compare("a.metrics.json", strange, "--metrics", "ndcg@5", "--latex")
        a, b = (values(name, "ndcg@5").mean() for name in "ab")
        assert done.stdout.splitlines()[:-1] == [
            r"\begin{tabular}{lr}", r"\toprule", r" & ndcg@5 \\", r"\midrule", rf"a & {a:.4f} \\",
            rf"b\_\%|2 & \textbf{{{b:.4f}}}* \\", r"\bottomrule", r"\end{tabular}",
        ]  # fmt: skip

    def test_the_best_may_be_the_smallest(self, compare: Compare, work: Path) -> None:
        options = ("--truth", "truth.csv", "--train", "train.csv", "--metrics", "popularity@5", "-q")
        asked = {"truth": "truth.csv", "train": "train.csv", "metrics": "popularity@5"}
        best = min(compared(work, "a.csv", "b.csv", **asked)["metrics"], key=lambda row: row["value"])
        bold = re.findall(r"\| (\w) \| \*\*([0-9.]+)\*\*", compare("a.csv", "b.csv", *options, "--markdown").stdout)
        assert bold == [(best["input"], f"{best['value']:.4f}")]


class TestOurs:
    def test_models_and_their_lists_say_the_same(self, ours: Path) -> None:
        one = compared(ours, "sample.pop.npz", "sample.ease.recs.parquet", metrics="ndcg@10,hit@10")
        two = compared(ours, "sample.pop.recs.parquet", "sample.ease.npz", metrics="ndcg@10,hit@10")
        assert [len(each.pop("header")["parents"]) for each in (one, two)] == [2, 2]
        assert one == two and len(one["overlap"]) == 1

    def test_lists_of_another_program_beside_ours(self, ours: Path) -> None:
        """Nothing is known of what they were chosen from: that is said, and they pair up."""
        names, options = ("sample.pop.recs.parquet", "theirs.csv"), ("--truth", "sample.split.parquet", "--strict")
        same = compared(ours, "sample.pop.recs.parquet", "sample.ease.recs.parquet", metrics="ndcg@10,hit@10")
        found = compared(ours, *names, truth="sample.split.parquet", metrics="ndcg@10,hit@10")
        assert found["metrics"] == json.loads(json.dumps(same["metrics"]).replace("sample.ease", "theirs"))
        assert found["warnings"] == [
            "candidates is 'all' of sample.pop, and 'unknown' of theirs",
            "seen is 'masked' of sample.pop, and 'unknown' of theirs",
        ]
        refused(run_in(ours, "compare", *names, *options), 3, found["warnings"][0])

    def test_what_was_seen_is_a_warning(self, ours: Path) -> None:
        run_in(ours, "recommend", "sample.pop.npz", "--allow-seen", "-o", "seen.recs.parquet")
        names = ("sample.ease.recs.parquet", "seen.recs.parquet")
        warnings = compared(ours, *names)["warnings"]
        assert warnings[0] == "seen is 'masked' of sample.ease, and 'allowed' of seen"
        assert len(warnings) == 2 and re.match("seen: .* were seen by their users", warnings[1])
        done = run_in(ours, "compare", *names)
        assert done.returncode == 0
        assert done.stderr.splitlines() == [f"recli compare: warning: {text}" for text in warnings]
        refused(run_in(ours, "compare", *names, "--strict"), 3, "seen is 'masked'")

    def test_other_samples_are_refused(self, ours: Path) -> None:
        options = ("--candidates", "sampled:20", "--seed", 1, "--metrics", "ndcg@5", "-o", "{name}.metrics.json")
        run_in(ours, "evaluate", "sample.pop.npz", "sample.ease.npz", *options)
        names = ("sample.pop.metrics.json", "sample.ease.metrics.json")
        assert compared(ours, *names, metrics="ndcg@5[s20]")["metrics"][1]["users"] == 500
        asked = {"metrics": "ndcg@5", "candidates": "sampled:20"}
        error = refusal(ours, names[0], "sample.ease.npz", **asked)  # with the seed 2020
        assert error.code == 2 and "seed 1, and the relevant ones' of sample.pop" in str(error)

    def test_other_items_are_refused(self, ours: Path) -> None:
        for name, items in (("one", "i1,i2,i3"), ("two", "i4,i5,i6")):
            run_in(ours, "recommend", "sample.pop.npz", "--items", items, "-o", f"{name}.recs.parquet")
        assert refusal(ours, "one.recs.parquet", "two.recs.parquet").code == 2

    def test_the_unit_is_the_user(self, ours: Path) -> None:
        options = ("--rolling", "--metrics", "ndcg@5", "-o", "{name}.rolling.metrics.json")
        run_in(ours, "evaluate", "sample.pop.npz", "sample.ease.npz", *options)
        found = compared(ours, "sample.pop.rolling.metrics.json", "sample.ease.rolling.metrics.json")
        assert found["metrics"][1]["users"] == 500


def test_errors_against_other_ratings_are_refused(work: Path) -> None:
    (work / "preds.csv").write_text("user_id,item_id,score\na,x,3\nb,x,2\n")
    for name, ratings in (("right", (3, 2)), ("wrong", (1, 5))):
        (work / f"{name}.csv").write_text(f"user_id,item_id,rating\na,x,{ratings[0]}\nb,x,{ratings[1]}\n")
    options = ("--truth", "right.csv", "--metrics", "rmse", "-o", "right.metrics.json")
    run_in(work, "evaluate", "preds.csv", *options)
    assert refusal(work, "right.metrics.json", "preds.csv", truth="wrong.csv", metrics="rmse").code == 2
