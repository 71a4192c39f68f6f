"""Every loss that can be chosen, against its formula for one pair after the other."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from recli.errors import Exit, RecliError
from recli.model import Run, configure
from recli.models import catalog
from recli.training.parameters import LOSSES, Ranked
from recli.training.ranked import RowLoss
from tests.checks import checkerboard, tiny, withheld_first

CPU = torch.device("cpu")
POPULARITY = np.array([8, 1, 4, 2], np.int64)


def expected(how: Ranked, user: torch.Tensor, table: torch.Tensor, item: torch.Tensor, negative: torch.Tensor) -> float:
    popular = torch.from_numpy(POPULARITY).float()
    terms = []
    for row, own, others in zip(user, item.tolist(), negative.tolist(), strict=True):
        score, cosine = table @ row, F.cosine_similarity(row[None], table)
        drawn = score - (how.neg_exponent * popular.log() if how.neg_sampling == "popularity" else 0)
        batch = [own, *(j for j in item.tolist() if j != own)]  # the others' items, as often as they are there
        far = torch.stack([F.relu(cosine[j] - how.margin) for j in others])
        each = {
            "bpr": [-F.logsigmoid(score[own] - score[j]) for j in others],
            "margin": [F.relu(how.margin - score[own] + score[j]) for j in others],
            "bce": [-F.logsigmoid(score[own]), *(-F.logsigmoid(-score[j]) for j in others)],
            "cosine": [1 - cosine[own] + how.negative_weight * far.mean()],
            "softmax": [-torch.log_softmax(score, 0)[own]],
            "sampled_softmax": [-torch.log_softmax(drawn[[own, *others]], 0)[0]],
            "in_batch": [-torch.log_softmax((score - popular.log())[batch], 0)[0]],
        }
        terms.append(torch.stack(each[how.loss]).mean())
    return float(torch.stack(terms).mean())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("neg_sampling", ["uniform", "popularity"])
def test_a_loss_is_its_formula(loss: str, neg_sampling: str) -> None:
    torch.manual_seed(2)
    how = Ranked(loss=loss, neg_sampling=neg_sampling, neg_exponent=0.5, margin=0.2)
    user, table = torch.randn(5, 3), torch.randn(4, 3)
    item, drawn = torch.tensor([0, 1, 2, 0, 3], dtype=torch.int32), torch.randint(4, (5, 2, 1), dtype=torch.int32)
    value, negative = RowLoss.of(how, POPULARITY, CPU)(user, item, drawn, lambda codes: table[codes.long()])
    assert negative.shape == ((5, 0) if loss in ("softmax", "in_batch") else (5, 2))
    assert float(value) == pytest.approx(expected(how, user, table, item, drawn[:, :, 0]), rel=1e-5)


def test_of_candidates_the_one_that_scores_highest_is_taken() -> None:
    ranked, table = RowLoss.of(Ranked(), POPULARITY, CPU), torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    drawn = torch.tensor([[[1, 3, 2]]], dtype=torch.int32)
    _, negative = ranked(torch.ones(1, 1), torch.zeros(1, dtype=torch.int32), drawn, lambda codes: table[codes.long()])
    assert negative.tolist() == [[3]]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("name", "least"), [("bpr-torch", 1.0), ("twotower", 0.7)])
def test_any_of_them_understands_the_board(name: str, least: float, loss: str) -> None:
    chosen = catalog.resolve(name)
    how = {**chosen.preset, "loss": loss, "learning_rate": 0.02, "epochs": 60, "train_batch_size": 256}
    assert withheld_first(configure(chosen.cls, how).fit(checkerboard(), Run())) >= least


def test_sparse_adam_is_for_rows_that_are_taken_one_by_one() -> None:
    chosen = catalog.resolve("bpr-torch")
    how = {**chosen.preset, "learner": "sparse_adam", "reg_weight": 1e-3, "epochs": 20}
    scores = configure(chosen.cls, how).fit(tiny(), Run()).score(tiny().queries())
    taken = tiny().matrix.toarray() > 0
    assert scores[taken].mean() > scores[~taken].mean()
    with pytest.raises(RecliError, match="moves all rows") as caught:
        configure(chosen.cls, {"learner": "sparse_adam"}).fit(tiny(), Run())
    assert caught.value.code == Exit.USAGE
