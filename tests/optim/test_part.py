import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import adam, partition, scale, sgd
from tessera.optim.part import Part

NET = nn.Linear(2, 3)
BY_NAME = partition({"bias": sgd(0.1, momentum=0.9), "": adam(0.1)})


def test_without_names_the_transformation_is_the_same_for_all():
    tx = scale(2.0)
    part = Part.of(tx, [{"params": [NET.weight]}, {"params": [NET.bias]}])
    assert part.params == [NET.weight, NET.bias]
    assert part.names is None
    assert part.bound([True, False]) is tx
    assert part.inits(1) == {}


def test_names_go_with_the_parameters_that_take_part():
    part = Part.of(BY_NAME, [{"params": list(NET.parameters()), "param_names": ["weight", "bias"]}])
    assert {name for name, make in part.inits(0).items() if make(NET.weight) is not None} == {
        "step",
        "exp_avg",
        "exp_avg_sq",
    }
    assert {name for name, make in part.inits(1).items() if make(NET.bias) is not None} == {"momentum_buffer"}
    (update,), _ = part.bound([False, True]).update([torch.ones(3)], [{"momentum_buffer": torch.zeros(3)}], [NET.bias])
    assert torch.equal(update, torch.full((3,), -0.1))


def test_missing_names_are_an_error():
    with pytest.raises(OptimizerError) as caught:
        Part.of(BY_NAME, [{"params": list(NET.parameters())}])
    assert str(caught.value) == (
        "2 parameters with 0 names were passed, and one is chosen by its name. "
        "A pattern for names needs the name of every parameter. "
        "Pass the model itself, or model.named_parameters()."
    )


def test_complex_parameters_are_seen_as_real_ones():
    param = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    tx = partition([(lambda p: True, scale(2.0))])
    part = Part.of(tx, [{"params": [param]}])
    updates, _ = part.transformation.update([torch.full_like(param, 1 + 1j)], [{}], [param])
    assert torch.equal(updates[0], torch.full_like(param, 2 + 2j))
