"""Products of float32 while a network is trained: the same numbers, whoever makes them."""

import torch

from recli.training.session import quick_products


def test_quick_products_round_nothing() -> None:
    torch.manual_seed(1)
    a, b = torch.randn(300, 64), torch.randn(64, 500)
    with quick_products():
        found = a @ b
    exact = (a.double() @ b.double()).float()
    assert float((found - exact).abs().max()) < 1e-4  # bfloat16 would be off by 0.1
    assert torch.get_float32_matmul_precision() == "highest"
