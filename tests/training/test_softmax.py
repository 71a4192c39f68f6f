"""The softmax in chunks against torch's of all scores: value and gradients."""

import math

import pytest
import torch

from recli.training import softmax
from recli.training.batches import Histories
from recli.training.losses import softmax as whole


@pytest.mark.parametrize("biased", [False, True])
def test_value_and_gradients_are_those_of_all_scores_at_once(biased: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "SCORES", 30)
    torch.manual_seed(3)
    rows, items, bias = torch.randn(11, 4), torch.randn(9, 4) * 30, torch.randn(9)
    target = torch.randint(9, (11,), dtype=torch.int32)
    found = []
    for fused in (True, False):
        r, i, b = (x.clone().requires_grad_() for x in (rows, items, bias))
        scores = r @ i.T + (b if biased else 0)
        value = softmax.full_softmax(r, i, b if biased else None, target) if fused else whole(scores, target)
        (3 * value).backward()
        found.append([value, r.grad, i.grad, *([b.grad] if biased else [])])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_mixed_precision_is_near_and_its_gradients_are_float32() -> None:
    torch.manual_seed(3)
    rows, items = torch.randn(8, 16, requires_grad=True), torch.randn(30, 16, requires_grad=True)
    target = torch.arange(8)
    with torch.autocast("cpu", torch.bfloat16):
        value = softmax.full_softmax(rows, items, None, target)
    value.backward()
    assert value.item() == pytest.approx(whole(rows @ items.T, target).item(), rel=0.02)
    assert rows.grad.dtype == items.grad.dtype == torch.float32


def test_scores_far_apart_have_the_loss_and_shares_of_a_wider_number() -> None:
    torch.manual_seed(3)
    items = torch.randn(500, 4) * 40
    rows, target = torch.randn(7, 4, requires_grad=True), torch.randint(500, (7,), dtype=torch.int32)
    value = softmax.full_softmax(rows, items, None, target)
    expected = whole(rows.double() @ items.double().T, target)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(*(torch.autograd.grad(v, [rows])[0] for v in (value, expected)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_no_loss(bad: float) -> None:
    rows = torch.full((3, 4), bad)
    assert not softmax.full_softmax(rows, torch.randn(500, 4), None, torch.zeros(3, dtype=torch.int32)).isfinite()


def test_the_multinomial_is_that_of_its_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, log_z = torch.tensor([[1.0, 2.0, 0.0]]), math.log(math.e + math.e**2 + 1)
    histories = Histories(indptr=torch.tensor([0, 2]), item=torch.tensor([1, 0], dtype=torch.int32))
    assert float(softmax.multinomial(scores, torch.eye(3), None, histories)) == pytest.approx(2 * log_z - 3)
    monkeypatch.setattr(softmax, "SCORES", 10)
    torch.manual_seed(1)
    given = [torch.randn(3, 4), torch.randn(5, 4), torch.randn(5)]
    histories = Histories(indptr=torch.tensor([0, 2, 2, 5]), item=torch.tensor([1, 0, 4, 2, 3], dtype=torch.int32))
    found = []
    for fused in (True, False):
        r, i, b = (x.clone().requires_grad_() for x in given)
        logs = torch.log_softmax(r @ i.T + b, 1)
        value = softmax.multinomial(r, i, b, histories) if fused else -(logs * histories.dense(5)).sum(1).mean()
        (3 * value).backward()
        found.append([value, r.grad, i.grad, b.grad])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_is_not_the_kernels_gives_the_same() -> None:
    torch.manual_seed(2)
    scores, bias = torch.randn(4, 6), torch.randn(6)
    item = torch.tensor([0, 5, 3, 3, 1], dtype=torch.int32)
    wanted = Histories(indptr=torch.tensor([0, 1, 1, 4, 5]), item=item)
    ours, theirs = scores.clone(), scores.double()
    losses = softmax._to_gradient(ours, bias, wanted)
    torch.testing.assert_close(losses, softmax._to_gradient(theirs, bias, wanted).float())
    torch.testing.assert_close(ours, theirs.float())
