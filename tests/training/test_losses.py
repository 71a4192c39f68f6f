"""Losses against their formulas, by hand."""

import math

import pytest
import torch

from recli.training import losses


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_bpr_is_the_mean_log_of_the_probability_of_the_right_order() -> None:
    value = losses.bpr(torch.tensor([2.0, 0.0]), torch.tensor([[1.0, 3.0], [0.0, -1.0]]))
    expected = -sum(math.log(sigmoid(x)) for x in (1, -1, 0, 1)) / 4
    assert float(value) == pytest.approx(expected)


def test_bce_is_the_mean_log_likelihood_of_the_labels() -> None:
    value = losses.bce(torch.tensor([0.5, -1.0]), torch.tensor([1.0, 0.0]))
    assert float(value) == pytest.approx(-(math.log(sigmoid(0.5)) + math.log(1 - sigmoid(-1))) / 2)


def test_softmax() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.0]])
    log_z = math.log(math.e + math.e**2 + 1)
    assert float(losses.softmax(scores, torch.tensor([1], dtype=torch.int32))) == pytest.approx(log_z - 2)


def test_a_sampled_softmax_with_all_items_is_the_full_one() -> None:
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    others = torch.stack([row[row != row[0]] for row in scores])
    full = losses.softmax(scores, torch.zeros(3))
    assert float(losses.sampled_softmax(scores[:, 0], others)) == pytest.approx(float(full))
    hits = torch.zeros(3, 5, dtype=torch.bool)
    hits[:, 0] = True
    assert float(losses.sampled_softmax(scores[:, 0], scores, hits=hits)) == pytest.approx(float(full))


def test_the_correction_makes_up_for_how_often_an_item_is_drawn() -> None:
    positive, negative = torch.tensor([1.0]), torch.tensor([0.5, 0.5])  # one item, drawn twice
    value = losses.sampled_softmax(positive, negative, (torch.zeros(1), torch.tensor([2.0, 2.0]).log()))
    assert float(value) == pytest.approx(math.log(math.e + math.exp(0.5)) - 1)


def test_in_a_batch_the_others_items_are_negatives_but_for_the_same_item() -> None:
    user, item = torch.tensor([[1.0], [2.0], [1.0]]), torch.tensor([[1.0], [3.0], [1.0]])
    value = losses.in_batch_softmax(user, item, torch.tensor([4, 7, 4], dtype=torch.int32))
    first, second = math.log(math.e + math.e**3) - 1, math.log(2 * math.e**2 + math.e**6) - 6
    assert float(value) == pytest.approx((2 * first + second) / 3)


def test_margin_and_cosine_contrast() -> None:
    value = losses.margin(torch.tensor([2.0]), torch.tensor([[0.5, 1.5]]), least=1.0)
    assert float(value) == pytest.approx((0 + 0.5) / 2)
    user, positive = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    negative = torch.tensor([[[3.0, 0.0], [-1.0, 0.0]]])
    assert float(losses.cosine_contrastive(user, positive, negative, 0.4, 10)) == pytest.approx(1 + 10 * (0.6 + 0) / 2)


def test_gbce_is_the_likelihood_of_the_labels_with_the_positives_to_a_power() -> None:
    positive, negative = torch.tensor([0.5, -1.0]), torch.tensor([[0.2, 1.0], [-2.0, 0.0]])
    terms = [[-2 * math.log(sigmoid(0.5)), 0.2, 1.0], [-2 * math.log(sigmoid(-1)), -2.0, 0.0]]
    expected = sum(row[0] - sum(math.log(1 - sigmoid(x)) for x in row[1:]) for row in terms) / 6
    assert float(losses.gbce(positive, negative, 2.0)) == pytest.approx(expected)
    # 256 of 3,415 other items: without calibration 1; with all of it, the share of the items that is drawn.
    assert losses.gbce_beta(256, 3416, 0.0) == pytest.approx(1)
    assert losses.gbce_beta(256, 3416, 1.0) == pytest.approx(256 / 3415)


def test_bpr_max_and_top1_max_weigh_negatives_by_their_softmax() -> None:
    positive, negative = torch.tensor([1.0]), torch.tensor([[0.0, math.log(3), -math.inf]])
    below = 0.25 * sigmoid(1) + 0.75 * sigmoid(1 - math.log(3))
    squares = 0.75 * math.log(3) ** 2
    assert float(losses.bpr_max(positive, negative, 0.5)) == pytest.approx(-math.log(below) + 0.5 * squares)
    above = 0.25 * (sigmoid(-1) + 0.5) + 0.75 * (sigmoid(math.log(3) - 1) + sigmoid(math.log(3) ** 2))
    assert float(losses.top1_max(positive, negative)) == pytest.approx(above)
