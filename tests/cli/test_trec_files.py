"""TREC runs and qrels with trec_eval's own figures, and lists whose columns have other names."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recli.cli import options
from recli.cli.judging import judging
from recli.errors import RecliError
from recli.pipeline.compare import compare
from recli.pipeline.evaluate import Asked, plan
from recli.pipeline.recommend import Request
from recli.pipeline.step import Output
from tests.cli.made_up import document, run_in

# pytrec_eval-terrier 0.5.11 (trec_eval 9's code) on the two files that `made_up` writes: means over topics.
GOLDEN = {
    "map@5": 0.07129629629629629, "map@10": 0.1398609011505837, "map@100": 0.16852203183034792,
    "precision@5": 0.17777777777777778, "precision@10": 0.21111111111111114,
    "recall@5": 0.13862433862433862, "recall@10": 0.35211640211640216,
    "hit@1": 0.1111111111111111, "hit@5": 0.4444444444444444, "mrr@100": 0.28152557319223986,
    "ndcg@5": 0.12572884382863106, "ndcg@10": 0.23151177840765838, "ndcg@100": 0.2959209993409336,
}  # fmt: skip
# And by topic: map_cut_10, ndcg_cut_10.
TOPICS = {
    "t1": (0.17976190476190476, 0.282418186052609), "t2": (0.40901360544217685, 0.594307887609338),
    "t3": (0.13857142857142857, 0.25836511775424215), "t4": (0.03125, 0.14966391176581295), "t5": (0.0, 0.0),
    "t6": (0.06666666666666667, 0.08051116699631379), "t7": (0.05185185185185185, 0.21572397749311864),
    "t8": (0.3816326530612245, 0.5026157579974913), "t10": (0.0, 0.0),
}  # fmt: skip


def made_up() -> tuple[list[str], list[str]]:
    """The lines of a run and of qrels.

    Grades from -1 to 3; scores that tie, scores that single precision alone ties (1e8 + 1 and + 2), documents that are
    not judged, a topic of the run without judgements (t9), and two that are judged and not in the run (t11, t12).
    """
    rng = random.Random(11)
    docs = [f"d{number}" for number in range(1, 41)]
    qrels, run = [], []
    for topic in range(1, 13):
        if topic != 9:
            grades = (-1, 0, 0, 1, 1, 2, 3)
            qrels += [f"t{topic} 0 {doc} {rng.choice(grades)}" for doc in rng.sample(docs, 12)]
    for topic in range(1, 11):
        for rank, doc in enumerate(rng.sample(docs, 25), 1):
            score = rng.choice((3, 2.5, -4, 1e8 + rng.randrange(10), 0.1 + rng.randrange(6) * 1e-9))
            run.append(f"t{topic} Q0 {doc} {rank} {score!r} tag")
    return run, qrels


RUN, QRELS = made_up()


def put(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trec")
    put(folder / "x.run", RUN)
    put(folder / "x.qrels", QRELS)
    return folder


def asked(folder: Path, source: dict[str, Any] | None = None, **given: Any) -> Asked:
    given = {"truth": folder / given.pop("truth", "x.qrels"), "metrics": ",".join(GOLDEN), **given}
    return replace(judging(**given), request=Request(source=options.source(**(source or {}))))


def measured(folder: Path, name: str, source: dict[str, Any] | None = None, **given: Any) -> dict[str, float]:
    """The values, without a process of its own."""
    result = plan(folder / name, asked(folder, source, **given), Output()).result
    return {metric: entry["value"] for metric, entry in result.document["metrics"].items()}


class TestTrecEval:
    def test_its_figures(self, work: Path) -> None:
        files = ("-o", "x.metrics.json", "--per-user", "x.users.parquet", "-q")
        metrics = ("--dialect", "trec", "--gain", "linear", "--metrics", ",".join(GOLDEN))
        done = run_in(work, "evaluate", "x.run", "--truth", "x.qrels", *metrics, *files)
        assert done.returncode == 0 and done.stdout == "x.metrics.json\n", done.stderr
        by_topic = pl.read_parquet(work / "x.users.parquet").drop_nans()
        found = {topic: values for topic, *values in by_topic.select("user_id", "map@10", "ndcg@10").iter_rows()}
        assert found == {topic: pytest.approx(values, abs=1e-12) for topic, values in TOPICS.items()}

    @pytest.mark.parametrize("change", ["order", "ranks", "names", "blanks"])
    def test_only_scores_and_ids_count(self, work: Path, change: str) -> None:
        run, qrels = list(RUN), list(QRELS)
        names = ("y.run", "y.qrels")
        if change == "order":
            random.Random(1).shuffle(run)
            random.Random(2).shuffle(qrels)
        elif change == "ranks":
            run = [" ".join([*line.split()[:3], "1", *line.split()[4:]]) for line in run]
        elif change == "names":
            names = ("y.trec", "y.qrel")
        else:
            run, qrels = ([line.replace(" ", " \t ") + "\r" for line in lines] for lines in (run, qrels))
        put(work / names[0], run)
        put(work / names[1], qrels)
        found = measured(work, names[0], truth=names[1], dialect="trec", gain="linear")
        assert found == pytest.approx(GOLDEN, abs=1e-12)

    def test_the_names_do_not_matter_where_the_format_is_said(self, work: Path) -> None:
        put(work / "run.txt", RUN)
        put(work / "qrels.txt", QRELS)
        found = measured(work, "run.txt", {"format": "trec"}, truth="qrels.txt", dialect="trec", metrics="map@10")
        assert found == {"map@10": pytest.approx(GOLDEN["map@10"], abs=1e-12)}

    def test_other_rules_give_other_figures(self, work: Path) -> None:
        """Ours counts topics without a list, keeps the scores' precision and goes by a hash of the id."""
        metrics = ",".join(name for name in GOLDEN if not name.startswith("ndcg"))
        found = measured(work, "x.run", metrics=metrics)
        assert all(value != pytest.approx(GOLDEN[name], rel=1e-3) for name, value in found.items())

    def test_two_runs_pair_by_topic(self, work: Path) -> None:
        put(work / "half.run", [line for line in RUN if int(line.split()[0][1:]) > 5])
        paths = [work / "x.run", work / "half.run"]
        found = compare(paths, asked(work, dialect="trec", metrics="map@10"), Output()).document()["metrics"][1]
        # The topics 6, 7, 8 and 10: equal there.
        assert (found["users"], found["dropped"], found["ties"], found["difference"]) == (4, 7, 4, 0)

    def test_no_topic_in_common(self, work: Path) -> None:
        put(work / "apart.run", ["z Q0 d1 1 2 tag"])
        assert measured(work, "apart.run", dialect="trec", metrics="map@10") == {"map@10": None}

    def test_a_document_twice(self, work: Path) -> None:
        put(work / "twice.run", ["t1 Q0 d1 1 2 tag", "t1 Q0 d1 2 1 tag"])
        with pytest.raises(RecliError, match="twice") as caught:
            measured(work, "twice.run", dialect="trec")
        assert caught.value.code == 3

    def test_nothing_is_relevant(self, work: Path) -> None:
        put(work / "none.qrels", ["t1 0 d1 0", "t1 0 d2 -1"])
        with pytest.raises(RecliError, match="relevant") as caught:
            measured(work, "x.run", truth="none.qrels", dialect="trec")
        assert caught.value.code == 3

    def test_another_threshold(self, work: Path) -> None:
        """trec_eval's -l 2 is the same as qrels in which 1 is 0."""
        put(work / "strict.qrels", [line.removesuffix(" 1") + " 0" if line.endswith(" 1") else line for line in QRELS])
        told = measured(work, "x.run", dialect="trec", metrics="map@10,mrr@100", relevant="rating>=2")
        assert told == measured(work, "x.run", truth="strict.qrels", dialect="trec", metrics="map@10,mrr@100")

    def test_a_topic_without_anything_relevant(self, work: Path) -> None:
        put(work / "void.run", ["a Q0 d3 1 1.0 t", "a Q0 d1 2 0.5 t", "b Q0 d1 1 1.0 t", "z Q0 d1 1 1.0 t"])
        put(work / "void.qrels", ["a 0 d1 1", "a 0 d2 0", "b 0 d1 0", "b 0 d2 -1", "c 0 d1 1"])
        found = measured(work, "void.run", truth="void.qrels", dialect="trec", metrics="map@5,precision@5")
        assert found == {"map@5": 0.25, "precision@5": 0.1}  # pytrec_eval-terrier 0.5.11

    def test_ndcg_is_graded_without_being_told(self, work: Path) -> None:
        found = measured(work, "x.run", dialect="trec", metrics="ndcg@10")
        assert found == {"ndcg@10": pytest.approx(GOLDEN["ndcg@10"])}


class TestOtherNames:
    """The same run as a table: ``doc, topic, points, place``."""

    @pytest.fixture
    def table(self, work: Path) -> pl.DataFrame:
        rows = [(doc, topic, float(score), int(rank)) for topic, _, doc, rank, score, _ in map(str.split, RUN)]
        frame = pl.DataFrame(rows, schema=["doc", "topic", "points", "place"], orient="row")
        shuffled = frame.select("topic", "doc", "points", tag=pl.lit("t")).sample(fraction=1, shuffle=True, seed=3)
        shuffled.write_csv(work / "t.csv")
        graded = [(topic, doc, int(grade)) for topic, _, doc, grade in map(str.split, QRELS)]
        pl.DataFrame(graded, schema=["q", "d", "grade"], orient="row").write_csv(work / "q.csv", separator=";")
        return frame

    COLUMNS = ("--user-col", "topic", "--item-col", "doc")
    TRUTH = (
        "--truth",
        "q.csv",
        "--truth-cols",
        "user=q,item=d,rating=grade,format=csv,sep=;",
        "--relevant",
        "rating>0",
    )

    def test_say_the_same(self, work: Path, table: pl.DataFrame) -> None:
        metrics = ("--dialect", "trec", "--gain", "linear", "--metrics", ",".join(GOLDEN), "--json")
        done = run_in(work, "evaluate", "t.csv", *self.COLUMNS, "--score-col", "points", *self.TRUTH, *metrics)
        found = {name: entry["value"] for name, entry in document(done)["metrics"].items()}
        assert found == pytest.approx(GOLDEN, abs=1e-12)

    @pytest.mark.parametrize("kind", ["number", "text"])
    def test_a_rank_goes_before_a_score(self, work: Path, table: pl.DataFrame, kind: str) -> None:
        places = table.with_columns(pl.col("place").cast(pl.String)) if kind == "text" else table
        places.sample(fraction=1, shuffle=True, seed=4).write_parquet(work / "places.parquet")
        # In the order of its ranks the run is what it is with scores that fall with them.
        put(work / "places.run", [" ".join([*(f := line.split())[:4], f"-{f[3]}", "tag"]) for line in RUN])
        source = {"user_col": "topic", "item_col": "doc"}
        given = {"truth_cols": "format=trec", "metrics": "map@10,mrr@100"}
        found = measured(work, "places.parquet", source, rank_col="place", score_col="points", **given)
        assert found == measured(work, "places.run", metrics="map@10,mrr@100")

    @pytest.mark.parametrize(
        ("given", "code", "said"),
        [
            ({"score_col": "point"}, 2, "--score-col point: no such column"),
            ({"rank_col": "rank"}, 2, "--rank-col rank: no such column"),
            ({"score_col": "tag"}, 3, "score 't' is no number"),
            ({"truth_cols": "user"}, 2, "--truth-cols takes NAME=VALUE"),
            ({"truth_cols": "user="}, 2, "--truth-cols takes NAME=VALUE"),
            ({"truth_cols": "uesr=q"}, 2, "--truth-cols cannot be 'uesr'"),
            ({"truth_cols": "user=nosuch,format=csv,sep=;"}, 2, "nosuch"),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_that_are_wrong(self, work: Path, table: pl.DataFrame, given: dict[str, str], code: int, said: str) -> None:
        right = {"truth": "q.csv", "truth_cols": "user=q,item=d,format=csv,sep=;"}
        with pytest.raises(RecliError, match=said) as caught:
            measured(work, "t.csv", {"user_col": "topic", "item_col": "doc"}, **(right | given))
        assert caught.value.code == code

    @pytest.mark.parametrize("name", ["points", "value", "rating", "timestamp", *(
        name
        for name in ("score", "Score", "stars", "Rating")
    )])  # fmt: skip
    def test_of_scores(self, work: Path, table: pl.DataFrame, name: str) -> None:
        table.select("topic", "doc", pl.col("points").alias(name)).write_csv(work / "named.csv")
        given = {"truth_cols": "format=trec", "score_col": name, "dialect": "trec", "metrics": "map@10"}
        found = measured(work, "named.csv", {"user_col": "topic", "item_col": "doc"}, **given)
        assert found == {"map@10": pytest.approx(GOLDEN["map@10"], abs=1e-12)}

    @pytest.mark.parametrize("how", [
        {"truth_cols": "user=topic,item=doc"},
        {},
    ], ids=["as the truth", "as the lists"])  # fmt: skip
    def test_of_train(self, work: Path, table: pl.DataFrame, how: dict[str, str]) -> None:
        """Without --truth-cols the truth is read as the lists are, and train as the truth."""
        table.select("topic", "doc").head(30).write_csv(work / "rows.csv")
        source = {"user_col": "topic", "item_col": "doc"}
        given = {"truth": "rows.csv", "train": work / "rows.csv", "score_col": "points", "metrics": "recall@100"}
        assert measured(work, "t.csv", source, **given, **how) == {"recall@100": 1}


def test_a_run_on_stdin(work: Path) -> None:
    """As the README has it: - is data on stdin, for every command."""
    text = "".join(f"{line}\n" for line in RUN)
    metrics = ("--dialect", "trec", "--metrics", "map@10", "--json")
    done = run_in(work, "evaluate", "-", "--format", "trec", "--truth", "x.qrels", *metrics, input=text)
    assert document(done)["metrics"]["map@10"]["value"] == pytest.approx(GOLDEN["map@10"])
