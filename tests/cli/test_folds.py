"""Cross-validation: folds through the pipe, their mean, and what is no mean of folds."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from recli.artifact import load
from recli.cli.judging import judging
from recli.errors import Exit, RecliError
from recli.pipeline import compare as pipeline
from recli.pipeline.evaluate import plan, write
from recli.pipeline.events import Source
from recli.pipeline.filter import Filters
from recli.pipeline.folds import averaged, numbers
from recli.pipeline.predict import predict
from recli.pipeline.recommend import Request
from recli.pipeline.split import Strategy, split_folds, split_given_folds
from recli.pipeline.step import Output
from tests.cli.evaluating import fitted, refused, table
from tests.conftest import ROOT, Runner

NUMBERS = range(1, 6)
RATED = "user_id:token item_id:token rating:float timestamp:float"


def folds_of(folder: Path, *, folds: int = 5, group_by: str = "user", seed: int = 2020, name: str = "") -> list[Path]:
    strategy = Strategy(name="kfold", params={"folds": folds, "group_by": group_by, "seed": seed})
    output = Output(path=str(folder / f"{{name}}{name}.fold{{fold}}.split.parquet"))
    return split_folds(folder / "sample.inter", Source(), Filters(), strategy, output)


def predictions(splits: Sequence[Path], model: str = "baseline", **params: float) -> list[Path]:
    """Of the test rows of every fold, by a model of its train rows."""
    target = f"{{name}}{''.join(map(str, params.values()))}.preds.parquet"
    models = [fitted(split, model, **params) for split in splits]
    return [predict(path, None, Request(), Output(path=str(path.parent / target))) for path in models]


def error(preds: Path) -> float:
    frame = load(preds).frame()
    return float(np.sqrt(((frame["score"] - frame["rating"]) ** 2).mean()))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample data in five folds, and the predictions of two settings of a model."""
    folder = tmp_path_factory.mktemp("folds")
    shutil.copy(ROOT / "sample_data" / "sample.inter", folder)
    return folder


@pytest.fixture(scope="module")
def splits(work: Path) -> list[Path]:
    return folds_of(work)


@pytest.fixture(scope="module")
def preds(splits: list[Path]) -> list[Path]:
    return predictions(splits)


@pytest.fixture(scope="module")
def other_preds(splits: list[Path]) -> list[Path]:
    return predictions(splits, reg_u=1.0)


def grouplens(folder: Path, folds: Sequence[int] = NUMBERS) -> Path:
    """A folder as GroupLens ships it, of ten rows: two are test in each fold; ua is no fold."""
    folder.mkdir()
    rows = [f"{1 + n % 3}\t{n}\t{1 + n % 5}\t{n}\n" for n in range(10)]
    for fold in folds:
        test = {2 * fold - 2, 2 * fold - 1}
        (folder / f"u{fold}.base").write_text("".join(row for n, row in enumerate(rows) if n not in test))
        (folder / f"u{fold}.test").write_text("".join(row for n, row in enumerate(rows) if n in test))
    for name in ("ua.base", "ua.test", "u.data"):
        (folder / name).write_text("".join(rows))
    return folder


class TestSplit:
    def test_five_files_of_which_each_row_is_test_in_one(self, splits: list[Path], work: Path) -> None:
        assert [path.name for path in splits] == [f"sample.fold{n}.split.parquet" for n in NUMBERS]
        whole = pl.read_csv(work / "sample.inter", separator="\t")
        tests = []
        for number, path in zip(NUMBERS, splits, strict=True):
            artifact = load(path)
            assert artifact.header.params["fold"] == number and artifact.header.params["folds"] == 5
            assert artifact.frame("valid").is_empty()
            assert artifact.frame("train").height + artifact.frame("test").height == whole.height
            tests.append(artifact.frame("test").drop("split"))
        assert max(map(len, tests)) - min(map(len, tests)) <= 1
        keys = pl.concat(tests).select("user_id", "item_id", "timestamp")
        assert keys.height == keys.unique().height == whole.height
        by_user = [dict(test.group_by("user_id").len().iter_rows()) for test in tests]
        for user in keys["user_id"].unique():
            counts = [found.get(user, 0) for found in by_user]
            assert max(counts) - min(counts) <= 1

    def test_what_is_printed_and_the_second_run(self, recli: Runner, sample: Path) -> None:
        first = recli("split", sample, "--strategy", "kfold")
        assert first.stdout.split() == [f"sample.fold{n}.split.parquet" for n in NUMBERS], first.stderr
        lines = first.stderr.splitlines()
        assert "sample.fold1.split.parquet to sample.fold5.split.parquet: train" in lines[-1]
        assert all("fold 1: " in line for line in lines[:-1])
        second = recli("split", sample, "--strategy", "kfold")
        assert second.stdout == first.stdout
        assert second.stderr.count("\n") == 1 and second.stderr.endswith("fold5.split.parquet: up to date\n")

    def test_other_folds_have_other_names(self, recli: Runner, sample: Path) -> None:
        options = ((), ("--seed", 1), ("--folds", 3), ("--group-by", "none"))
        found = [recli("split", sample, "-q", "--strategy", "kfold", *more).stdout.split() for more in options]
        assert [len(names) for names in found] == [5, 5, 3, 5]
        assert len({name for names in found for name in names}) == 18
        assert all(name.startswith("sample.fold1.split-") for name in (names[0] for names in found[1:]))

    def test_one_file_is_not_enough(self, recli: Runner, sample: Path, tmp_path: Path) -> None:
        for target in ("x.parquet", "{name}.parquet", "-"):
            done = recli("split", sample, "--strategy", "kfold", "-o", target)
            assert done.returncode == 2 and "put {fold} into it" in done.stderr and done.stdout == ""
        assert list(tmp_path.iterdir()) == []
        done = recli("split", sample, "--strategy", "kfold", "--folds", 2, "-q", "-o", "{name}-{fold}.parquet")
        assert done.stdout.split() == ["sample-1.parquet", "sample-2.parquet"]

    def test_no_path_is_printed_where_one_cannot_be_written(self, recli: Runner, sample: Path, tmp_path: Path) -> None:
        (tmp_path / "sample.fold4.split.parquet").write_text("precious")
        done = recli("split", sample, "--strategy", "kfold")
        assert done.returncode == 2 and done.stdout == ""
        assert (tmp_path / "sample.fold4.split.parquet").read_text() == "precious"

    @pytest.mark.parametrize(
        ("options", "code", "said"),
        [
            (("--folds", 3), 2, "it is for kfold"),
            (("--strategy", "kfold", "--folds", 1), 2, "--folds"),
            (("--strategy", "kfold", "--ratios", "8,1,1"), 2, "--ratios says nothing to --strategy kfold"),
            (("--strategy", "kfold", "--order", "time"), 2, "--order says nothing to --strategy kfold"),
            (("--strategy", "kfold", "--folds", 1000000), 3, "20,000 rows cannot make 1000000 folds"),
        ],
    )
    def test_refusals(self, recli: Runner, sample: Path, options: tuple[object, ...], code: int, said: str) -> None:
        done = recli("split", sample, *options)
        assert done.returncode == code and said in done.stderr and done.stdout == "", done.stderr


class TestGiven:
    def test_a_folder_a_pattern_or_the_files(self, tmp_path: Path) -> None:
        folder = grouplens(tmp_path / "ml")
        files = sorted(folder.glob("u?.*"))
        for way, paths in {"a": [folder], "b": [folder / "u*"], "c": files}.items():
            output = Output(path=str(tmp_path / f"{{name}}-{way}-{{fold}}.parquet"))
            made = split_given_folds(paths, Source(), Filters(), output)
            assert [path.name for path in made] == [f"ml-{way}-{fold}.parquet" for fold in NUMBERS]
            for fold, path in zip(NUMBERS, made, strict=True):
                artifact = load(path)
                assert artifact.frame("test")["item_id"].to_list() == [str(2 * fold - 2), str(2 * fold - 1)]
                assert artifact.frame("train").height == 8 and artifact.header.params["fold"] == fold
            assert numbers(made) == [1, 2, 3, 4, 5]

    def test_the_command(self, recli: Runner, tmp_path: Path) -> None:
        folder = grouplens(tmp_path / "ml")
        done = recli("split", "--strategy", "given", folder)
        names = done.stdout.split()
        assert [name.partition("-")[0] for name in names] == [f"ml.fold{n}.split" for n in NUMBERS], done.stderr
        assert recli("split", "--strategy", "given", folder).stderr.endswith("up to date\n")
        done = recli("split", "--strategy", "given", folder, "--train", folder / "u1.base")
        assert done.returncode == 2 and "no other input" in done.stderr
        done = recli("split", "--strategy", "given", input=f"{folder}\n")
        assert done.returncode == 2

    def test_what_holds_no_folds(self, tmp_path: Path) -> None:
        def read(*paths: Path) -> None:
            split_given_folds(paths, Source(), Filters(), Output(path=str(tmp_path / "{fold}.parquet")))

        folder = grouplens(tmp_path / "ml", [1, 3])
        (folder / "u3.test").unlink()
        with refused(Exit.DATA, "u3.base: is half of a fold"):
            read(folder)
        with refused(Exit.USAGE, "is the same part of a fold as"):
            read(folder, grouplens(tmp_path / "other"))
        (tmp_path / "empty").mkdir()
        with refused(Exit.USAGE, "holds no folds", "--train"):
            read(tmp_path / "empty")
        with refused(Exit.IO, "no such file"):
            read(tmp_path / "nowhere")


class TestMap:
    def test_the_pipe(self, shell: Runner, sample: Path, tmp_path: Path) -> None:
        line = (
            f"set -o pipefail; recli split {sample} --strategy kfold | recli train --model baseline"
            " | recli predict | recli evaluate --metrics rmse,mae"
        )
        done = shell(line)
        assert done.returncode == 0, done.stderr
        head, rmse, mae = (row.split("\t") for row in done.stdout.splitlines())
        assert head == ["metric", "mean", "deviation", "folds"]
        errors = [error(tmp_path / f"sample.fold{n}.baseline.preds.parquet") for n in NUMBERS]
        assert float(rmse[1]) == pytest.approx(np.mean(errors)) and rmse[3] == "5"
        assert float(rmse[2]) == pytest.approx(np.std(errors, ddof=1))
        assert mae[0] == "mae"
        again = shell(line)
        assert again.stdout == done.stdout and again.stderr.count("up to date") == 1 + 5 + 5

    def test_a_failed_one_fails_all(self, recli: Runner, splits: list[Path], tmp_path: Path) -> None:
        broken = tmp_path / "broken.split.parquet"
        data = splits[1].read_bytes()
        broken.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
        done = recli("train", "--model", "pop", input=f"{splits[0]}\n{broken}\n{splits[2]}\n")
        assert done.returncode == 3 and done.stdout == "" and "broken.split.parquet: damaged" in done.stderr

    def test_an_error_about_the_data_names_which_of_several(self, recli: Runner, tmp_path: Path, sample: Path) -> None:
        table(tmp_path / "timeless.inter", "user_id:token item_id:token", [("a", "x"), ("a", "y")])
        done = recli("split", "--strategy", "time", "--at", "0.5", sample, "timeless.inter")
        assert done.returncode == 3 and done.stdout == ""
        assert "timeless.inter: the table has no timestamp" in done.stderr

    def test_the_number_of_the_fold_in_a_name(self, recli: Runner, splits: list[Path], sample: Path) -> None:
        made = recli("train", *splits[:2], "--model", "pop", "-o", "pop{fold}.npz", "-q").stdout.split()
        assert made == ["pop1.npz", "pop2.npz"]
        recs = recli("recommend", *made, "-o", "pop{fold}.recs.parquet", "-q").stdout.split()
        assert recs == ["pop1.recs.parquet", "pop2.recs.parquet"]
        done = recli("train", *splits[:2], "--model", "pop", "-o", "pop.npz")
        assert done.returncode == 2 and "{fold}" in done.stderr
        done = recli("train", sample, "--model", "pop", "-o", "pop{fold}.npz")
        assert done.returncode == 2 and "is no fold, and -o has {fold}" in done.stderr

    def test_pairs_beside_several_models(self, recli: Runner, splits: list[Path], tmp_path: Path) -> None:
        table(tmp_path / "pairs.inter", "user_id:token item_id:token", [("u1", "i1")])
        models = recli("train", *splits[:2], "--model", "baseline", "-q").stdout.split()
        assert recli("predict", models[0], "pairs.inter", "-q").stdout.count("\n") == 1
        made = recli("predict", *models, "--pairs", "pairs.inter", "-q").stdout.split()
        assert [load(tmp_path / path).frame().height for path in made] == [1, 1]


class TestMean:
    def test_by_hand(self) -> None:
        entries = [
            {"value": 1.0, "definition": "d", "pairs": 7},
            {"value": 2.0, "definition": "d", "pairs": 8},
            {"value": 6.0, "definition": "d", "pairs": 7},
        ]
        one, *others = ({"truth": "t", "metrics": {"m": entry}, "leaks": []} for entry in entries)
        found = averaged({3: others[1], 1: {**one, "leaks": ["drips"]}, 2: others[0]})
        assert found["metrics"]["m"] == {
            "value": 3.0,
            "deviation": pytest.approx(7**0.5),  # of squares 4, 1, 9, over 2
            "definition": "d",
            "folds": {
                "1": {"value": 1.0, "pairs": 7},
                "2": {"value": 2.0, "pairs": 8},
                "3": {"value": 6.0, "pairs": 7},
            },
        }
        assert found["leaks"] == ["fold 1: drips"]
        undefined = {"truth": "t", "metrics": {"m": {"value": None}}}
        entry = averaged({1: one, 2: undefined})["metrics"]["m"]
        assert entry["value"] is None and entry["deviation"] is None

    def test_json_has_every_fold(self, recli: Runner, preds: list[Path]) -> None:
        document = json.loads(recli("evaluate", *reversed(preds), "--metrics", "rmse", "--json", "-q").stdout)
        entry = document["metrics"]["rmse"]
        errors = [error(path) for path in preds]
        assert list(entry["folds"]) == ["1", "2", "3", "4", "5"]
        assert [one["value"] for one in entry["folds"].values()] == pytest.approx(errors)
        assert entry["value"] == pytest.approx(np.mean(errors)) and entry["definition"] == "rmse/pairs"
        assert len(document["header"]["parents"]) == 10

    def test_the_mean_is_judged(self, recli: Runner, preds: list[Path], tmp_path: Path) -> None:
        errors = sorted(error(path) for path in preds)
        mean = sum(errors) / 5
        assert errors[0] < mean - 1e-6 and errors[-1] > mean + 1e-6
        good = recli("evaluate", *preds, "--assert", f"rmse<={mean + 1e-6}")
        assert good.returncode == 0 and good.stderr.count("assertion holds") == 1
        bad = recli("evaluate", *preds, "--assert", f"rmse<={mean - 1e-6}")
        assert bad.returncode == 1 and "assertion failed: mean of 5 folds: rmse is" in bad.stderr
        (tmp_path / "before.json").write_text(recli("evaluate", *preds, "--json", "-q").stdout)
        held = recli("evaluate", *preds, "--baseline", "before.json")
        assert held.returncode == 0 and "paired by 5 folds" in held.stderr

    def test_every_fold_is_written_where_that_is_asked(self, recli: Runner, preds: list[Path], tmp_path: Path) -> None:
        done = recli("evaluate", *preds, "--metrics", "rmse", "-o", "{fold}.json", "--per-user", "{fold}.parquet", "-q")
        assert done.stdout.split() == [f"{n}.json" for n in NUMBERS], done.stderr
        values = [load(tmp_path / f"{n}.json").document["metrics"]["rmse"]["value"] for n in NUMBERS]
        assert values == pytest.approx([error(path) for path in preds])
        assert (tmp_path / "5.parquet").exists()
        for option in ("-o", "--per-user"):
            done = recli("evaluate", *preds, option, "one.json")
            assert done.returncode == 2 and f"{option} names one file for 5 inputs" in done.stderr
        done = recli("evaluate", *preds, "--by", "user-activity")
        assert done.returncode == 2 and "--by is of one fold" in done.stderr and done.stdout == ""

    def test_what_is_no_fold_of_the_same(
        self, work: Path, splits: list[Path], preds: list[Path], other_preds: list[Path]
    ) -> None:
        seeded = predictions(folds_of(work, seed=1, name="-seed")[:2])
        fewer = predictions(folds_of(work, folds=3, name="-three")[:2])
        ranked = predictions(splits[:2], "itemknn")
        models = [fitted(path, "baseline") for path in splits[:2]]
        for other, difference in (
            (other_preds[1], "p.reg_u of train is 1.0, not 15.0"),
            (seeded[1], "seed of split is 1, not 2020"),
            (fewer[1], "folds of split is 3, not 5"),
            (ranked[1], "model of train is itemknn, not baseline"),
            (models[1], "was made by split, train, and not by split, train, predict"),
        ):
            with refused(Exit.USAGE, str(other), difference, "recli compare"):
                numbers([preds[0], other])
        with refused(Exit.USAGE, "is of fold 1, as", "name every fold once"):
            numbers([preds[0], preds[1], preds[0]])
        with refused(Exit.USAGE, "sample.inter: is no fold of a split", "recli compare"):
            numbers([preds[0], work / "sample.inter"])

    def test_the_command_refuses_it_before_it_measures(self, recli: Runner, preds: list[Path], sample: Path) -> None:
        model = recli("train", sample, "--model", "baseline", "-q").stdout.strip()
        done = recli("evaluate", preds[0], model)
        assert done.returncode == 2 and done.stdout == "" and "recli compare" in done.stderr


def compared(paths: Sequence[Path], metrics: str | None = None) -> dict[str, dict[str, object]]:
    """The rows of the second input, by metric."""
    found = pipeline.compare(paths, judging(metrics=metrics), Output())
    assert len(found.inputs) == 2 and len(found.metrics) % 2 == 0
    return {row["metric"]: row for row in found.metrics if row["input"] == found.inputs[1]}


class TestCompare:
    def test_pairs_of_folds_where_there_is_no_user(self, preds: list[Path], other_preds: list[Path]) -> None:
        row = compared([*preds, *other_preds], "rmse")["rmse"]
        ours, theirs = ([error(path) for path in paths] for paths in (preds, other_preds))
        apart = np.subtract(theirs, ours)
        assert row["value"] == pytest.approx(np.mean(theirs))
        assert row["deviation"] == pytest.approx(np.std(theirs, ddof=1))
        assert row["difference"] == pytest.approx(apart.mean()) and row["paired_folds"] == 5 and "users" not in row
        assert row["p_t"] == pytest.approx(stats.ttest_rel(theirs, ours).pvalue)
        assert row["wins"] == (apart < 0).sum()  # a smaller error is better

    def test_a_user_counts_once_with_the_mean_over_the_folds(self, splits: list[Path], tmp_path: Path) -> None:
        files, means = [], []
        for model in ("pop", "itemknn"):
            by_user: dict[str, list[float]] = {}
            for split in splits:
                result = plan(fitted(split, model), judging(metrics="ndcg@5"), Output())
                target = str(tmp_path / f"{model}.fold{load(split).header.params['fold']}.metrics.json")
                files.append(write(result, Output(path=target)))
                for user, value in result.result.per_user.select("user_id", "ndcg@5").iter_rows():
                    by_user.setdefault(user, []).append(value)
            means.append({user: sum(values) / len(values) for user, values in by_user.items()})
        assert all(len(values) > 1 for values in by_user.values())
        row = compared(files)["ndcg@5"]
        ours, theirs = ([one[user] for user in sorted(one)] for one in means)
        assert row["users"] == len(ours) and row["difference"] == pytest.approx(np.mean(theirs) - np.mean(ours))
        assert row["p_t"] == pytest.approx(stats.ttest_rel(theirs, ours).pvalue)
        assert row["wins"] == np.greater(theirs, ours).sum()
        (tmp_path / "kept").mkdir()  # without the models and splits behind them
        assert compared([path.rename(tmp_path / "kept" / path.name) for path in files])["ndcg@5"] == row

    def test_one_row_a_model(self, recli: Runner, preds: list[Path], other_preds: list[Path]) -> None:
        # In any order.
        paths = [*preds[:3], *other_preds, *preds[3:]]
        head, first, second = (
            line.split("\t") for line in recli("compare", *paths, "--metrics", "rmse", "-q").stdout.splitlines()
        )
        assert head[:4] == ["metric", "input", "value", "deviation"]
        assert first[1] != second[1] and ".fold" not in first[1] + second[1]
        shown = recli("compare", *paths, "--metrics", "rmse", "--markdown", "-q").stdout
        errors = [error(path) for path in preds]
        assert f"{np.mean(errors):.4f}" in shown and f"± {np.std(errors, ddof=1):.4f}" in shown
        assert "by fold where there is none by user" in shown

    def test_what_cannot_be_held_against_each_other(self, preds: list[Path], other_preds: list[Path]) -> None:
        with refused(Exit.USAGE, "held to different rows"):
            compared([*preds, *other_preds[:4]], "rmse")
        with refused(Exit.USAGE, "all inputs are folds of one split", "recli evaluate"):
            compared(preds, "rmse")
        with pytest.raises(RecliError, match="is of fold 1, as"):
            compared([*preds, preds[0], *other_preds], "rmse")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("line", "rmse"),
    [
        ("--strategy kfold --group-by none {shared}/ml-100k/ml-100k.inter", 0.944),
        ("--strategy given {shared}/ml-100k-folds", 0.94574),  # Surprise's BaselineOnly on the same five folds
    ],
)
def test_the_figures_of_movielens(shell: Runner, shared: Path, line: str, rmse: float) -> None:
    done = shell(
        f"recli split -q {line.format(shared=shared)} | recli train -q --model baseline | recli predict -q"
        " | recli evaluate -q --metrics rmse --json"
    )
    entry = json.loads(done.stdout)["metrics"]["rmse"]
    assert entry["value"] == pytest.approx(rmse, abs=2e-3 if rmse == 0.944 else 1e-5)
