"""How many lists are cut where items score the same: by hand."""

from pathlib import Path

from recli.artifact import load
from tests.cli.evaluating import entry, fitted, lists, parts, table


def test_ties_by_hand(tmp_path: Path) -> None:
    """Of the items that are left p, q and r have two users each, and s has one; d has p already."""
    train = [("b", "p"), ("d", "p"), ("b", "q"), ("e", "q"), ("b", "r"), ("e", "r"), ("b", "s")]
    train += [("f", item) for item in "pqrs"]
    test = [("new", "p"), ("d", "q"), ("e", "p"), ("f", "z")]
    model = fitted(parts(tmp_path, "user_id:token item_id:token", train=train, test=test), "pop")
    # Three of each, s two: new sees 3 3 3 2, d 3 3 2, e 3 2, and f nothing, so that it has no list.
    expected = {1: 2 / 3, 2: 1 / 3, 3: 0}
    deep = lists(model, k=3)
    for k, share in expected.items():
        recs = lists(model, k=k)
        assert load(recs).header.more["ties"] == share
        assert entry(recs, f"hit@{k}")["ties"] == share
        assert entry(model, f"hit@{k}")["ties"] == share
        assert entry(deep, f"hit@{k}")["ties"] == share


def test_ties_that_cannot_be_told(tmp_path: Path) -> None:
    columns = "user_id:token item_id:token"
    truth = table(tmp_path / "t.inter", columns, [("a", "x")])
    ranks = table(tmp_path / "r.inter", f"{columns} rank:float", [("a", "x", 1), ("a", "y", 2)])
    scores = table(tmp_path / "s.inter", f"{columns} score:float", [("a", "x", 1), ("a", "y", 1), ("a", "z", 0)])
    assert entry(ranks, "hit@1", truth=truth)["ties"] is None
    ties = [entry(scores, f"hit@{k}", truth=truth)["ties"] for k in (1, 2, 3)]
    assert ties == [1, 0, None]
