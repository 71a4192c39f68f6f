"""NeuMF against He et al. 2017, eq. 9, 10 and 12, in dense numpy."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from recli.errors import Exit, RecliError
from recli.interactions import Interactions, Queries, encode
from recli.model import Run, Start, configure
from recli.models import catalog
from recli.scorers import Factors, Scorer
from recli.training.networks import Pairwise
from tests.checks import checkerboard, tiny, withheld_first


def everybody(n: int) -> Queries:
    return Queries(user=np.arange(n, dtype=np.int32), indptr=np.zeros(n + 1, np.int64), item=np.empty(0, np.int32))


@pytest.mark.parametrize(("product", "row"), [(3, 2), (0, 2)])
def test_a_score_is_equation_12(product: int, row: int) -> None:
    rng = np.random.default_rng(1)
    users, items, hidden = 5, 7, [4, 3]
    shapes = {"mlp_user.weight": (users, row), "mlp_item.weight": (items, row)}
    shapes |= {"mf_user.weight": (users, product), "mf_item.weight": (items, product)} if product else {}
    shapes |= {"layers.0.weight": (4, 2 * row), "layers.0.bias": (4,), "layers.1.weight": (3, 4), "layers.1.bias": (3,)}
    shapes |= {"predict.weight": (1, product + 3), "predict.bias": (1,)}
    w = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    meta = {"users": users, "items": items, "product": product, "row": row, "hidden": hidden}
    scorer = Pairwise(
        module="recli.models.neural.neumf", meta=json.dumps(meta), weights=w, n_users=users, n_items=items
    )
    expected = np.empty((users, items))
    for u in range(users):
        for i in range(items):
            z = np.concatenate([w["mlp_user.weight"][u], w["mlp_item.weight"][i]])
            for layer in (0, 1):
                z = np.maximum(w[f"layers.{layer}.weight"] @ z + w[f"layers.{layer}.bias"], 0)
            gmf = w["mf_user.weight"][u] * w["mf_item.weight"][i] if product else []
            expected[u, i] = w["predict.weight"][0] @ np.concatenate([gmf, z]) + w["predict.bias"][0]
    np.testing.assert_allclose(scorer.score(everybody(users)), expected, rtol=1e-4, atol=1e-5)
    user, item = (codes.ravel() for codes in np.indices(expected.shape))
    pairs = scorer.score_pairs(everybody(users).take(user), item.astype(np.int32))
    np.testing.assert_allclose(pairs, expected.ravel(), rtol=1e-4, atol=1e-5)


def test_gmf_ends_as_a_product_of_rows() -> None:
    chosen = catalog.resolve("gmf")
    scorer = configure(chosen.cls, {**chosen.preset, "epochs": 3}).fit(tiny(), Run())
    assert isinstance(scorer, Factors)
    assert scorer.user.shape == (tiny().n_users, 64)


@pytest.mark.parametrize(("name", "epochs"), [("gmf", 60), ("mlp", 60), ("neumf", 80)])
def test_the_board_is_understood_with_larger_steps(name: str, epochs: int) -> None:
    chosen = catalog.resolve(name)
    model = configure(chosen.cls, {**chosen.preset, "learning_rate": 0.01, "epochs": epochs, "train_batch_size": 512})
    assert withheld_first(model.fit(checkerboard(), Run())) == 1.0


def test_one_of_the_two_has_to_be_there() -> None:
    cls = catalog.resolve("neumf").cls
    with pytest.raises(RecliError, match="both false") as caught:
        cls(mf_train=False, mlp_train=False).fit(tiny(), Run())
    assert caught.value.code == Exit.USAGE


def test_weights_of_another_network_are_refused() -> None:
    meta = json.dumps({"users": 10**9, "items": 10**9, "product": 64, "row": 64, "hidden": [128]})
    for module in ("recli.models.neural.neumf", "os.path", "recli.models.catalog"):
        scorer = Pairwise(module=module, meta=meta, weights={}, n_users=1, n_items=1)
        with pytest.raises(RecliError, match="is no network") as caught:
            scorer.score(everybody(1))
        assert caught.value.code == Exit.DATA


SIZES = {"mf_embedding_size": 6, "mlp_embedding_size": 5, "mlp_hidden_size": [7, 4]}


def fit(name: str, data: Interactions, starts: tuple[Start, ...] = (), **how: Any) -> Scorer:
    chosen = catalog.resolve(name)
    scorer: Scorer = configure(chosen.cls, {**chosen.preset, **SIZES, **how}).fit(data, Run(starts=starts))
    return scorer


def start(name: str, scorer: Scorer, old: Interactions, new: Interactions) -> Start:
    return Start(model=name, scorer=scorer, user=encode(new.users, old.users), item=encode(new.items, old.items))


STILL = {"learning_rate": 1e-12, "learner": "sgd", "epochs": 1}


def test_begun_with_gmf_and_mlp_a_score_is_half_of_theirs_together() -> None:
    """Equation 13 with equal shares; by ids, and who is new to them begins as without them."""
    new = tiny()
    kept = np.repeat(np.arange(new.n_users), np.diff(new.indptr)) >= 4
    users = new.users.gather(np.repeat(np.arange(new.n_users), np.diff(new.indptr)))
    old = Interactions.of(pl.DataFrame({"user_id": users, "item_id": new.items.gather(new.item)}).filter(kept))
    assert 0 < old.n_users < new.n_users
    parts = {name: fit(name, old, epochs=40, learning_rate=0.02) for name in ("gmf", "mlp")}
    starts = tuple(start(name, scorer, old, new) for name, scorer in parts.items())
    found = fit("neumf", new, starts, **STILL)
    both = [fit(one.model, new, (one,), **STILL) for one in starts]
    everyone = new.queries()
    known = np.ix_(starts[0].user >= 0, starts[0].item >= 0)
    by_old = np.ix_(starts[0].user[starts[0].user >= 0], starts[0].item[starts[0].item >= 0])
    for begun, scorer in zip(both, parts.values(), strict=True):  # each begun with itself is itself
        np.testing.assert_allclose(begun.score(everyone)[known], scorer.score(old.queries())[by_old], atol=1e-4)
    expected = sum(scorer.score(old.queries())[by_old] for scorer in parts.values()) / 2
    np.testing.assert_allclose(found.score(everyone)[known], expected, atol=1e-4)
    assert expected.std() > 0.1


def test_begun_with_neumf_it_goes_on_from_there() -> None:
    data = tiny()
    old = fit("neumf", data, epochs=5, learning_rate=0.01)
    again = fit("neumf", data, (start("neumf", old, data, data),), **STILL)
    np.testing.assert_allclose(again.score(data.queries()), old.score(data.queries()), atol=1e-6)


@pytest.mark.parametrize(
    "sizes",
    [{"mlp_embedding_size": 4}, {"mlp_hidden_size": [7, 5]}, {"mlp_hidden_size": [7, 4, 4]}, {"mlp_hidden_size": [4]}],
)
def test_layers_of_other_sizes_are_no_beginning(sizes: dict[str, Any]) -> None:
    data = tiny()
    begun = start("mlp", fit("mlp", data, epochs=1), data, data)
    with pytest.raises(RecliError, match="mlp has layers of other sizes") as caught:
        fit("neumf", data, (begun,), **sizes)
    assert caught.value.code == Exit.USAGE
    gmf = start("gmf", fit("gmf", data, epochs=1), data, data)
    with pytest.raises(RecliError, match="gmf has layers of other sizes"):
        fit("neumf", data, (gmf,), mf_embedding_size=5)
