import copy

from tessera.optim import Optimizer, ScheduleFreeAdamW, adamw
from tests.optim.parity import Model, assert_same, train


def test_it_goes_on_where_it_was():
    model = Model()
    optimizer = ScheduleFreeAdamW(model, lr=0.05, warmup_steps=4, weight_decay=0.1, r=1.0)
    train(model, optimizer, range(5))
    other = copy.deepcopy(model)
    resumed = ScheduleFreeAdamW(other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, optimizer, range(5, 12))
    train(other, resumed, range(5, 12))
    assert_same(model, other, tolerance=1e-15)


def test_averaging_changes_nothing_where_there_is_nothing_to_average():
    model = Model()
    optimizer = Optimizer(model, adamw(0.1))
    train(model, optimizer, range(2))
    before = copy.deepcopy(model)
    with optimizer.averaged_weights():
        assert_same(model, before, tolerance=0.0)
