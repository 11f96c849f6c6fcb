import copy

import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, adamw, chain, clip_by_global_norm, freeze


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


@pytest.mark.parametrize("first", [False, True])
def test_it_is_as_if_the_frozen_ones_needed_no_gradient(first):
    """They have no state, do not decay, and do not count in a global norm."""
    tx = chain(clip_by_global_norm(0.1), adamw(0.1, weight_decay=0.5))
    net = network()
    twin = copy.deepcopy(net)
    for param in twin[0].parameters():
        param.requires_grad_(False)
    ours = Optimizer(net, chain(freeze("^0"), tx) if first else chain(tx, freeze("^0")))
    reference = Optimizer([p for p in twin.parameters() if p.requires_grad], tx)
    x = torch.randn(5, 3, dtype=torch.float64)
    for _ in range(5):
        ours.step(net(x).square().sum())
        reference.step(twin(x).square().sum())
    for mine, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert set(ours.state) == set(net[2].parameters())


def test_by_shape():
    net = network()
    before = copy.deepcopy(net.state_dict())
    Optimizer(net.parameters(), chain(adamw(0.1), freeze(lambda p: p.ndim == 1))).step(
        net(torch.ones(1, 3).double()).sum()
    )
    same = {name: torch.equal(value, before[name]) for name, value in net.state_dict().items()}
    assert same == {"0.weight": False, "0.bias": True, "2.weight": False, "2.bias": True}


def test_all_may_be_frozen():
    net = network()
    before = copy.deepcopy(net.state_dict())
    Optimizer(net, chain(adamw(0.1), freeze(""))).step(net(torch.ones(1, 3).double()).sum())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_bad_mask_is_refused():
    with pytest.raises(OptimizerError) as caught:
        freeze("(")
    assert str(caught.value).startswith("freeze() has the mask '(', which is no regular expression: missing ), ")
    with pytest.raises(OptimizerError) as caught:
        freeze(3)
    assert str(caught.value) == (
        "freeze() has the mask 3, a int. "
        "A mask is a regular expression for names of parameters, or a function of a parameter. "
        'Write for example "bias$", or lambda p: p.ndim >= 2.'
    )
