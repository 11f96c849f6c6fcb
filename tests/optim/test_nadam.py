import copy

import torch

from tessera.optim import NAdam
from tests.optim.parity import Model, assert_follows_twin, assert_same, decayed_and_not, train


def test_steps_and_groups_are_torchs():
    assert_follows_twin(
        lambda p: NAdam(decayed_and_not(p, eps=1e-5), lr=0.05),
        lambda p: torch.optim.NAdam(decayed_and_not(p, eps=1e-5), lr=0.05),
    )


def test_the_product_stays_float32_when_it_is_loaded():
    """As torch makes it; its own load_state_dict casts it to the dtype of the parameter."""
    model = Model()
    optimizer = NAdam(model, lr=0.05)
    train(model, optimizer, range(3))
    other = copy.deepcopy(model)
    resumed = NAdam(other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert resumed.state[other.weight]["mu_product"].dtype == torch.float32
    train(model, optimizer, range(3, 8))
    train(other, resumed, range(3, 8))
    assert_same(model, other, tolerance=0.0)
