"""What the commands do: whom they serve, what they leave out, what they measure."""

import json
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
    return recli("train", split, "--model", "ease", "-q").stdout.strip()


def lists(recli: Runner, folder: Path, *arguments: object) -> pl.DataFrame:
    done = recli("recommend", *arguments, "-q")
    assert done.returncode == 0, done.stderr
    return load(folder / done.stdout.strip()).frame()


class TestRecommend:
    @pytest.mark.parametrize(("phase", "seen"), [("valid", ["train"]), ("test", ["train", "valid"]), ("all", None)])
    def test_phases(
        self, recli: Runner, split: str, model: str, tmp_path: Path, phase: str, seen: list[str] | None
    ) -> None:
        events = load(tmp_path / split).frame()
        recs = lists(recli, tmp_path, model, "--phase", phase, "-k", 20)
        served = events if phase == "all" else events.filter(pl.col("split") == phase)
        assert set(recs["user_id"]) == set(served["user_id"])
        past = events if seen is None else events.filter(pl.col("split").is_in(seen))
        assert recs.join(past, on=["user_id", "item_id"]).is_empty()
        sizes = recs.group_by("user_id").agg(pl.len(), pl.col("rank").max())
        assert (sizes["len"] == 20).all() and (sizes["rank"] == 20).all()
        assert not recs.select("user_id", "item_id").is_duplicated().any()
        assert recs.group_by("user_id").agg(pl.col("score").is_sorted(descending=True))["score"].all()

    def test_the_held_out_can_be_found(self, recli: Runner, split: str, model: str, tmp_path: Path) -> None:
        """What is recommended for test is not what was held out for validation, but may be what is tested."""
        events = load(tmp_path / split).frame()
        recs = lists(recli, tmp_path, model)
        tested = events.filter(pl.col("split") == "test")
        assert len(recs.join(tested, on=["user_id", "item_id"])) > 100

    def test_allow_seen(self, recli: Runner, split: str, model: str, tmp_path: Path) -> None:
        recs = lists(recli, tmp_path, model, "--allow-seen")
        train = load(tmp_path / split).frame("train")
        assert not recs.join(train, on=["user_id", "item_id"]).is_empty()

    def test_users_and_items(self, recli: Runner, model: str, tmp_path: Path) -> None:
        (tmp_path / "items.txt").write_text("i1\ni2\ni3\ni4\ni5\nno such item\n")
        given = ("--users", "u7,u8", "--items", "@items.txt", "--exclude", "i2", "--allow-seen")
        recs = lists(recli, tmp_path, model, *given)
        assert recs["user_id"].unique(maintain_order=True).to_list() == ["u7", "u8"]
        assert set(recs["item_id"]) == {"i1", "i3", "i4", "i5"}
        (tmp_path / "users.txt").write_text("u7\nu8\n")
        from_file = lists(recli, tmp_path, model, "--users", "users.txt", *given[2:])
        assert from_file.equals(recs)

    def test_a_history_given_by_hand(self, recli: Runner, split: str, model: str, tmp_path: Path) -> None:
        """A new user with the history of a known one gets the same list."""
        train = load(tmp_path / split).frame("train")
        known = train["user_id"][0]
        history = train.filter(pl.col("user_id") == known).with_columns(user_id=pl.lit("newcomer"))
        history.select("user_id", "item_id").write_csv(tmp_path / "new.csv")
        recs = lists(recli, tmp_path, model, "--history", "new.csv")
        assert recs["user_id"].unique().to_list() == ["newcomer"]
        same = lists(recli, tmp_path, model, "--phase", "valid", "--users", known)
        assert recs["item_id"].to_list() == same["item_id"].to_list()

    def test_a_user_that_cannot_be_served_is_counted(self, recli: Runner, model: str) -> None:
        done = recli("recommend", model, "--users", "nobody,u7")
        assert done.returncode == 0 and "1 of 2 users get no list" in done.stderr

    def test_a_model_of_a_plain_table(self, recli: Runner, sample: Path, tmp_path: Path) -> None:
        model = recli("train", sample, "--model", "pop", "-q").stdout.strip()
        recs = lists(recli, tmp_path, model)
        assert recs["user_id"].n_unique() == 500


class TestEvaluate:
    def test_a_model_and_its_lists_agree(self, recli: Runner, model: str) -> None:
        recs = recli("recommend", model, "-q").stdout.strip()
        one, other = (recli("evaluate", path, "-q").stdout for path in (model, recs))
        assert one == other and len(one.splitlines()) == 6

    def test_per_user_values_average_to_the_value(self, recli: Runner, model: str, tmp_path: Path) -> None:
        done = recli("evaluate", model, "--per-user", "users.parquet", "--json", "-q")
        document = json.loads(done.stdout)
        per_user = load(tmp_path / "users.parquet").frame()
        assert per_user.columns[0] == "user_id" and len(per_user) == 500
        for name, entry in document["metrics"].items():
            assert per_user[name].mean() == pytest.approx(entry["value"], rel=1e-12)

    def test_json_says_what_was_measured(self, recli: Runner, model: str) -> None:
        document = json.loads(recli("evaluate", model, "--metrics", "ndcg@5", "--json").stdout)
        assert [parent["role"] for parent in document["header"]["parents"]] == ["model", "split"]
        entry = document["metrics"]["ndcg@5"]
        assert entry["definition"] == "ndcg/binary/log2/ideal=min(k,R)"
        assert entry["users"] == 500 and entry["phase"] == "test" and entry["seen"] == "masked"

    def test_assertions(self, recli: Runner, model: str, tmp_path: Path) -> None:
        good = recli("evaluate", model, "--metrics", "mrr@10", "--assert", "ndcg@10>=0.01")
        assert good.returncode == 0 and "assertion holds" in good.stderr and "ndcg@10" in good.stdout
        bad = recli("evaluate", model, "--assert", "ndcg@10>=0.99", "--assert", "hit@10 > 0.01", "-o", "m.json")
        assert bad.returncode == 1 and bad.stdout == "m.json\n"
        failed = [line for line in bad.stderr.splitlines() if "assertion failed" in line]
        assert len(failed) == 1 and "ndcg@10 is 0." in failed[0] and ">= 0.99" in failed[0]
        assert "ndcg@10" in load(tmp_path / "m.json").document["metrics"]

    def test_another_truth(self, recli: Runner, model: str, split: str, tmp_path: Path) -> None:
        """The lists themselves as the truth: every place is a hit."""
        recs = recli("recommend", model, "-q").stdout.strip()
        load(tmp_path / recs).frame().select("user_id", "item_id").write_csv(tmp_path / "truth.csv")
        document = json.loads(recli("evaluate", recs, "--truth", "truth.csv", "--json", "-q").stdout)
        assert {name: entry["value"] for name, entry in document["metrics"].items()} == {
            "recall@10": 1, "mrr@10": 1, "ndcg@10": 1, "hit@10": 1, "precision@10": 1
        }  # fmt: skip

    def test_cold_items_count_and_warm_stands_beside(self, recli: Runner, tmp_path: Path) -> None:
        header = "user_id:token\titem_id:token\n"
        (tmp_path / "train.inter").write_text(header + "u\ta\nu\tb\nv\ta\nv\tc\nw\tc\nx\ta\n")
        (tmp_path / "test.inter").write_text(header + "u\tc\nu\tcold\nw\tcold\nnew\ta\n")
        split = recli("split", "--strategy", "given", "--train", "train.inter", "--test", "test.inter", "-q").stdout
        model = recli("train", "--model", "pop", "-q", input=split).stdout.strip()
        metrics = json.loads(recli("evaluate", model, "--metrics", "recall@1", "--json", "-q").stdout)["metrics"]
        # u: c is found, cold is not (1/2, warm 1/1); w: cold is not (0, warm undefined); new: a is found (1, warm 1).
        assert metrics["recall@1"]["value"] == pytest.approx((0.5 + 0 + 1) / 3)
        assert metrics["recall@1"]["warm"] == pytest.approx(1.0)
        assert metrics["recall@1"]["users"] == 3


class TestSplit:
    def test_given_parts(self, recli: Runner, tmp_path: Path) -> None:
        (tmp_path / "u1.base").write_text("1\t7\t3\t10\n1\t007\t4\t11\n")
        (tmp_path / "u1.test").write_text("1\t8\t5\t12\n")
        path = recli("split", "--strategy", "given", "--train", "u1.base", "--test", "u1.test", "-q").stdout.strip()
        artifact = load(tmp_path / path)
        assert path.startswith("u1.split")
        assert artifact.frame("train")["item_id"].to_list() == ["7", "007"]
        assert artifact.frame("test")["item_id"].to_list() == ["8"]
        assert artifact.header.more["rows"] == {"train": [0, 2], "valid": [2, 2], "test": [2, 3]}

    def test_companions_are_recorded(self, split: str, tmp_path: Path, recli: Runner, sample: Path) -> None:
        roles = {parent.role: parent.path for parent in load(tmp_path / split).header.parents}
        assert set(roles) == {"source", "user", "item"}
        assert not any(Path(path).is_absolute() for path in roles.values())
        named = recli("split", sample, "--user-table", sample.with_suffix(".item"), "-o", "x.parquet", "-q")
        parents = load(tmp_path / named.stdout.strip()).header.parents
        assert next(p.path for p in parents if p.role == "user").endswith("sample.item")

    def test_filters_are_flags_here_too(self, recli: Runner, sample: Path, tmp_path: Path) -> None:
        done = recli("split", sample, "--min-rating", 4, "--user-kcore", 10)
        assert "min-rating removed" in done.stderr
        direct = load(tmp_path / done.stdout.strip()).frame()
        filtered = recli("filter", sample, "--min-rating", 4, "--user-kcore", 10, "-q").stdout
        assert direct["rating"].min() >= 4
        assert load(tmp_path / filtered.strip()).frame().height == direct.height

    def test_leaks_are_told(self, recli: Runner, sample: Path) -> None:
        told = recli("split", sample).stderr
        assert "of the test rows are older than a train row" in told
        assert "leak" not in recli("split", sample, "--strategy", "time", "--at", "0.8,0.9").stderr

    def test_other_data_on_stdin_are_not_up_to_date(self, recli: Runner, tmp_path: Path) -> None:
        for ids in ("abc", "xyz"):
            rows = "".join(f"u,{item}\n" for item in ids)
            recli("split", "-", "--format", "csv", input="user_id,item_id\n" + rows)
            assert set(load(tmp_path / "stdin.split.parquet").frame()["item_id"]) == set(ids)


class TestShowAndCheck:
    def test_the_chain(self, recli: Runner, model: str, split: str, tmp_path: Path) -> None:
        recs = recli("recommend", model, "-q").stdout.strip()
        shown = recli("show", recs, "-n", 2).stdout
        for text in ("kind", "recs", "phase", model, split, "sample.inter", "(ok)"):
            assert text in shown
        checked = recli("check", recs)
        assert checked.returncode == 0 and {line.split("\t")[0] for line in checked.stdout.splitlines()} == {"ok"}

    @pytest.mark.parametrize(("fault", "state"), [("flip", "damaged"), ("delete", "missing"), ("replace", "changed")])
    def test_a_fault_in_the_chain(
        self, recli: Runner, sample: Path, model: str, split: str, tmp_path: Path, fault: str, state: str
    ) -> None:
        path = tmp_path / split
        if fault == "flip":
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        elif fault == "delete":
            path.unlink()
        else:
            recli("split", sample, "--seed", 1, "-o", split, "-f")
        done = recli("check", model)
        assert done.returncode == 1
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["ok", state]

    def test_show_is_json_too(self, recli: Runner, model: str) -> None:
        document = json.loads(recli("show", model, "--json").stdout)
        assert document["kind"] == "model" and document["params"]["p.reg_weight"] == 250.0

    def test_headers_name_no_time_and_no_absolute_path(self, model: str, tmp_path: Path) -> None:
        text = json.dumps(load(tmp_path / model).header.document())
        assert str(tmp_path) not in text and '"/' not in text


def test_a_parquet_with_our_name_and_no_header(recli: Runner, tmp_path: Path) -> None:
    frame = pl.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "b"]})
    frame.write_parquet(tmp_path / "x.inter.parquet")
    done = recli("split", "x.inter.parquet")
    assert done.returncode == 3 and "--format parquet" in done.stderr
    assert recli("split", "x.inter.parquet", "--format", "parquet").returncode == 0
