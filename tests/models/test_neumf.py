"""NeuMF against He et al. 2017, eq. 9, 10 and 12, in dense numpy."""

import json

import numpy as np
import pytest

from recli.errors import Exit, RecliError
from recli.interactions import Queries
from recli.model import Run, configure
from recli.models import catalog
from recli.scorers import Factors
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
    assert type(scorer) is Factors
    assert scorer.user.shape == (tiny().n_users, 64)


@pytest.mark.parametrize("name", ["gmf", "mlp", "neumf"])
def test_the_board_is_understood_with_larger_steps(name: str) -> None:
    chosen = catalog.resolve(name)
    model = configure(chosen.cls, {**chosen.preset, "learning_rate": 0.01, "epochs": 60, "train_batch_size": 512})
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
