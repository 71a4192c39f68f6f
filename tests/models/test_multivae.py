"""MultiVAE and MultiDAE against Liang et al. 2018, in dense numpy."""

import json

import numpy as np
import pytest
import torch

from recli.interactions import Queries
from recli.model import Run, configure
from recli.models import catalog
from recli.models.autoencoder import multivae
from recli.training.networks import Encoder
from tests.checks import checkerboard, withheld_first


@pytest.mark.parametrize("variational", [True, False])
def test_a_score_is_the_decoder_of_the_mean(variational: bool) -> None:
    rng = np.random.default_rng(2)
    sizes = {"encoder.0": (4, 6), "encoder.1": (6 if variational else 3, 4), "decoder.0": (4, 3), "decoder.1": (6, 4)}
    w = {f"{name}.weight": rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    w |= {f"{name}.bias": rng.standard_normal(size[0]).astype(np.float32) for name, size in sizes.items()}
    meta = json.dumps({"items": 6, "hidden": [4], "latent": 3, "variational": variational})
    scorer = Encoder(
        module="recli.models.autoencoder.multivae",
        meta=meta,
        weights={**w, "encoder.0.weight": w["encoder.0.weight"].T, "steps.count": np.array(9)},
        n_items=6,
    )
    queries = Queries(
        user=np.array([-1, 0, 1], np.int32), indptr=np.array([0, 3, 3, 5]), item=np.array([1, 5, 1, 0, 4], np.int32)
    )
    found = scorer.score(queries)
    for row, history in ((0, [1, 5]), (2, [0, 4])):
        x = np.zeros(6)
        x[history] = 1 / np.sqrt(2)
        hidden = np.tanh(w["encoder.0.weight"] @ x + w["encoder.0.bias"])
        latent = w["encoder.1.weight"] @ hidden + w["encoder.1.bias"]
        latent = latent[:3] if variational else np.tanh(latent)
        hidden = np.tanh(w["decoder.0.weight"] @ latent + w["decoder.0.bias"])
        expected = w["decoder.1.weight"] @ hidden + w["decoder.1.bias"]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)
    assert np.isneginf(found[1]).all()


def test_the_divergence_is_that_of_normal_distributions() -> None:
    mean, spread = torch.tensor([[1.0, -0.5], [0.0, 0.3]]), torch.tensor([[0.2, -1.0], [0.0, 0.7]])
    ours = torch.distributions.Normal(mean, (0.5 * spread).exp())
    expected = torch.distributions.kl_divergence(ours, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    assert float(multivae.divergence(mean, spread)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", ["multivae", "multidae"])
def test_the_board_is_understood(name: str) -> None:
    chosen = catalog.resolve(name)
    model = configure(chosen.cls, {**chosen.preset, "epochs": 50})
    assert withheld_first(model.fit(checkerboard(), Run())) == 1.0
