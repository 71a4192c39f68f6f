"""Our recurrent units against torch's, and their gradients."""

import torch

from recli.training.recurrent import GRU


def test_states_and_gradients_are_those_of_torch() -> None:
    torch.manual_seed(4)
    ours, theirs = GRU(5, 7), torch.nn.GRU(5, 7, bias=False, batch_first=True)
    theirs.load_state_dict({"weight_ih_l0": ours.read.detach(), "weight_hh_l0": ours.keep.detach()})
    x, weight = torch.randn(3, 6, 5), torch.randn(3, 6, 7)
    found, expected = [], []
    for layer, into in ((ours, found), (theirs, expected)):
        given = x.clone().requires_grad_()
        states = layer(given)
        states = states[0] if isinstance(states, tuple) else states
        (states * weight).sum().backward()
        into += [states, given.grad, *(parameter.grad for parameter in layer.parameters())]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
