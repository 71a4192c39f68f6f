"""TwoTower against dense one-hot features and formulas written out, and what it makes of the cold."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from recli.errors import Exit, RecliError
from recli.model import Run, configure
from recli.models.factor.folding import Folding
from recli.models.feature.lightfm import features_of
from recli.models.feature.twotower import TwoTower
from tests.checks import checkerboard, tiny, withheld_first
from tests.models.test_lightfm import cold


@pytest.mark.parametrize("hidden", [(), (6, 5)])
def test_a_step_is_that_of_dense_layers_and_equation_5(hidden: tuple[int, ...]) -> None:
    """All events in one batch, so that their order makes no difference."""
    data = tiny()
    how = {"embedding_size": 4, "mlp_hidden_size": list(hidden), "epochs": 1, "learner": "sgd", "temperature": 0.5}
    model: TwoTower = configure(TwoTower, how | {"learning_rate": 2.0})
    scorer = model.fit(data, Run(seed=3))
    torch.manual_seed(3)
    features = {role: features_of(data, role, "", True) for role in ("user", "item")}
    networks = {role: model._tower(matrix) for role, matrix in features.items()}

    def rows(role: str) -> torch.Tensor:
        x = torch.from_numpy(features[role].toarray()) @ networks[role]["features"].weight
        for layer in networks[role]["layers"]:
            x = F.relu(x) @ layer.weight.T + layer.bias
        return x / x.norm(dim=1, keepdim=True)

    taken = data.matrix.tocoo()
    user, item = torch.from_numpy(taken.row).long(), torch.from_numpy(taken.col).long()
    often = torch.from_numpy(data.popularity / len(item)).float()
    s = (rows("user")[user] @ rows("item").T / model.temperature)[:, item] - often[item].log()
    twice = (item[:, None] == item) & ~torch.eye(len(item), dtype=torch.bool)
    loss = (s.masked_fill(twice, -torch.inf).exp().sum(1).log() - s.diagonal()).mean()
    parameters = [parameter for network in networks.values() for parameter in network.parameters()]
    for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.data -= 2.0 * slope
    with torch.no_grad():
        expected = rows("user") / model.temperature @ rows("item").T
    np.testing.assert_allclose(scorer.user @ scorer.item.T, expected, rtol=1e-3, atol=1e-4)


def test_the_cold_are_served_by_what_else_they_are() -> None:
    data = cold()
    scorer = TwoTower(epochs=20, learning_rate=0.01).fit(data, Run())
    assert type(scorer) is Folding
    items, users = data.items.to_list(), data.users.to_list()
    assert np.isfinite(scorer.score(data.queries())).all()
    np.testing.assert_allclose(np.linalg.norm(scorer.item[items.index("cold")]), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(scorer.user[users.index("cold")]), 1 / TwoTower.temperature, rtol=1e-5)
    assert not scorer.item[items.index("odd")].any()  # nothing is known of it
    alone = TwoTower(epochs=1, user_columns="none").fit(data, Run())
    assert not alone.user[users.index("cold")].any()


def test_without_identity_those_alike_are_one() -> None:
    data = tiny()
    scorer = TwoTower(epochs=2, identity=False, item_columns="kind").fit(data, Run())
    kinds = dict(data.tables["item"].select("item_id", "kind").iter_rows())
    assert len(np.unique(scorer.item, axis=0)) == len({kinds[item] for item in data.items}) == 4
    with pytest.raises(RecliError, match="the items have no features") as caught:
        TwoTower(identity=False, item_columns="none").fit(data, Run())
    assert caught.value.code == Exit.USAGE


def test_layers_understand_the_board_too() -> None:
    how = {"mlp_hidden_size": [32], "learning_rate": 0.01, "epochs": 60, "train_batch_size": 512}
    assert withheld_first(configure(TwoTower, how).fit(checkerboard(), Run())) == 1.0
