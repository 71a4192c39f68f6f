"""Attention of our own, beside its formula."""

from math import sqrt

import pytest
import torch

from recli.training.attention import attended, attention


def formula(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, seen: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    scores = (q @ k.transpose(2, 3) / sqrt(q.shape[3])).masked_fill(~seen, -torch.inf)
    return (scores.softmax(3) * kept) @ v


@pytest.mark.parametrize("length", [None, torch.tensor([3, 21, 1])])
@pytest.mark.parametrize("threads", [1, 2])
def test_attention_and_its_gradients_are_those_of_the_formula(length: torch.Tensor | None, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(2)
    n, heads, places, width, share = 3, 2, 21, 5, 0.3
    q, k, v = (torch.randn(n, heads, places, width, requires_grad=True) for _ in range(3))
    place = torch.arange(places)
    seen = place <= place[:, None] if length is None else (place < length[:, None])[:, None, None]
    seen = seen.expand(n, heads, places, places)
    torch.manual_seed(3)  # the rows of one are the shares themselves: those of 0 were left out
    shares = attention(q, k, torch.eye(places).expand(n, heads, places, places), length, share)
    assert not shares[~seen].any()
    assert (shares[seen] == 0).float().mean() == pytest.approx(share, abs=0.05)
    kept = (shares != 0) / (1 - share)

    torch.manual_seed(3)
    weight = torch.randn(n, heads, places, width)
    torch.manual_seed(3)
    found, expected = attention(q, k, v, length, share), formula(q, k, v, seen, kept)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad((made * weight).sum(), [q, k, v]) for made in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_without_dropout_it_is_torchs() -> None:
    q, k, v = torch.randn(3, 2, 1, 7, 4)
    expected = formula(q, k, v, torch.ones(7, 7, dtype=torch.bool).tril(), torch.ones(()))
    torch.testing.assert_close(attention(q, k, v, None, 0.0), expected)


def test_mixed_precision_has_gradients_of_its_own_kind() -> None:
    q, k, v = (torch.randn(2, 1, 9, 4, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(q, k, v, None, 0.2)
    gradients = torch.autograd.grad(found.sum(), [q, k, v])
    assert found.isfinite().all()
    assert {gradient.dtype for gradient in gradients} == {torch.bfloat16}


@pytest.mark.parametrize(("fields", "heads", "width"), [(1, 1, 3), (7, 2, 16), (21, 3, 12)])
@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("threads", [1, 2])
def test_fields_attend_as_the_formula_says(fields: int, heads: int, width: int, share: float, threads: int) -> None:
    torch.set_num_threads(threads)
    n, scale = 30, 0.4
    torch.manual_seed(2)
    parts = torch.randn(n, fields, 4 * width)
    told = torch.zeros_like(parts)  # a value of 1 in a place of its own: what comes out are the shares
    told[..., : 2 * width] = parts[..., : 2 * width]
    kept = torch.empty(n, heads, fields, fields)
    for j in range(fields):
        told[..., 2 * width : 3 * width] = 0
        told[:, j, 2 * width : 3 * width] = 1
        torch.manual_seed(3)
        kept[..., j] = attended(told, heads, scale, share).unflatten(2, (heads, -1))[..., 0].transpose(1, 2)
    assert (kept == 0).float().mean() == pytest.approx(share, abs=0.1)
    mask = (kept != 0).double() / (1 - round(share * 2**16) / 2**16)

    found, own = parts.clone().requires_grad_(), parts.double().requires_grad_()
    q, k, v, more = own.chunk(4, 2)
    q, k, v = (each.unflatten(2, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    shares = (scale * q @ k.transpose(2, 3)).softmax(3) * mask
    expected = (shares @ v).transpose(1, 2).flatten(2) + more
    torch.manual_seed(3)
    made = attended(found, heads, scale, share)
    torch.testing.assert_close(made, expected.float(), rtol=1e-4, atol=1e-5)
    weight = torch.randn(n, fields, width)
    (made * weight).sum().backward()
    (expected * weight.double()).sum().backward()
    torch.testing.assert_close(found.grad, own.grad.float(), rtol=1e-4, atol=1e-5)
