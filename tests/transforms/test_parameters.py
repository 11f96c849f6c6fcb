import torch
from torch import nn

from tessera.transforms.parameters import WithParameters


def test_the_function_sees_the_parameters_it_is_given_and_the_module_keeps_its_own():
    layer = nn.Linear(2, 1)
    before = layer.weight.clone()
    pure = WithParameters(lambda x: layer(x) * 1, layer, "grad")
    result, buffers = pure({"weight": torch.zeros(1, 2), "bias": torch.ones(1)}, torch.randn(3, 2))
    assert torch.equal(result, torch.ones(3, 1))
    assert buffers == {}
    assert torch.equal(layer.weight, before)


def test_buffers_change_when_they_are_kept_and_not_before():
    norm = nn.BatchNorm1d(2)
    pure = WithParameters(norm, norm, "grad")
    _, buffers = pure(pure.parameters(), torch.randn(4, 2) + 3)
    assert not norm.running_mean.any()
    assert norm.num_batches_tracked == 0
    pure.keep(buffers)
    assert norm.running_mean.all()
    assert norm.num_batches_tracked == 1


def test_in_eval_mode_buffers_are_the_modules_own():
    norm = nn.BatchNorm1d(2).eval()
    pure = WithParameters(norm, norm, "grad")
    assert pure(pure.parameters(), torch.randn(4, 2))[1] == {}
