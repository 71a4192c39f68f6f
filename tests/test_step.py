"""Names, keys and lineage: what a file is called, when it is current, what stands behind it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recli.artifact import Parent, code_digest, key_of, modules_of
from recli.pipeline.names import stem
from recli.pipeline.step import Step

STEP = Step(command="train", kind="model", name="ml", suffix=".bpr.npz", params={}, inputs=[], modules=[])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ml-100k.inter", "ml-100k"),
        ("ml-100k.inter.parquet", "ml-100k"),
        ("ml-100k.split.parquet", "ml-100k"),
        ("ml-100k.split-0a1b2c.parquet", "ml-100k-0a1b2c"),
        ("ml-100k.bpr-0a1b2c.npz", "ml-100k.bpr-0a1b2c"),
        ("ml-100k.bpr.recs-0a1b2c.parquet", "ml-100k.bpr-0a1b2c"),
        ("ml-100k.bpr.metrics.json", "ml-100k.bpr"),
        ("u1.base", "u1"),
        ("ratings.csv.gz", "ratings"),
    ],
)
def test_stem(name: str, expected: str) -> None:
    assert stem(Path(name)) == expected


def test_only_what_is_unusual_is_tagged() -> None:
    from dataclasses import replace

    from recli.pipeline.step import Output

    usual = replace(STEP, params={"k": 10, "threads": 2}, defaults={"k": 10}, unnamed=("threads",))
    assert usual.target(Output()) == Path("ml.bpr.npz")
    unusual = replace(usual, params={"k": 20, "threads": 2})
    tagged = unusual.target(Output()).name
    assert tagged.startswith("ml.bpr-") and len(tagged) == len("ml.bpr-012345.npz")
    assert replace(unusual, params={"k": 20, "threads": 8}).target(Output()).name == tagged
    assert replace(unusual, params={"k": 21, "threads": 2}).target(Output()).name != tagged
    assert usual.target(Output(path="out/{name}.npz")) == Path("out/ml.npz")


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.randoms())
def test_the_key_does_not_depend_on_the_order_of_parameters(params: dict[str, object], random: object) -> None:
    shuffled = list(params.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    parents = [Parent(role="split", path="x", sha256="1")]
    key = key_of("train", params, parents)
    assert key == key_of("train", dict(shuffled), parents)
    assert key == key_of("train", params, [Parent(role="split", path="elsewhere", sha256="1")])
    assert key != key_of("train", params, [Parent(role="split", path="x", sha256="2")])
    assert key != key_of("split", params, parents)
    assert key != key_of("train", {**params, "new\0": 1}, parents)


def test_the_modules_that_a_step_runs() -> None:
    assert modules_of(["recli.artifact.commit"]) == ["recli.artifact.commit", "recli.errors"]
    assert "recli.errors" not in modules_of(["recli.artifact.commit"], without=["recli.errors"])
    assert code_digest(["recli.errors"]) != code_digest(["recli.schema"])
    assert code_digest(["recli.errors"]) == code_digest(["recli.errors"])
