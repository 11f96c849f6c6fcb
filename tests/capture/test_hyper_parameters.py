from __future__ import annotations

import numpy as np
import pytest
import torch

from tessera.capture.hyper_parameters import HyperParameters


@pytest.fixture
def optimizer():
    return torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))], lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0)


def always(values):
    return True


def test_floats_become_tensors_in_double(optimizer):
    found = HyperParameters(optimizer)
    read = dict(zip(found.names, found.tensors, strict=True))
    assert (read["lr"], read["betas[0]"], read["betas[1]"]) == (1e-3, 0.9, 0.99)
    assert all(t.dtype == torch.float64 and t.dim() == 0 for t in found.tensors)
    assert "amsgrad" not in read


def test_new_numbers_are_filled_in(optimizer):
    found = HyperParameters(optimizer)
    optimizer.param_groups[0] |= {"lr": 0.25, "betas": (0.5, 0.99)}
    assert found.refresh(always)
    read = dict(zip(found.names, found.tensors, strict=True))
    assert (read["lr"], read["betas[0]"], read["betas[1]"]) == (0.25, 0.5, 0.99)


def test_numbers_that_the_recording_did_not_assume_are_refused(optimizer):
    found = HyperParameters(optimizer)
    decay = found.names.index("weight_decay")
    optimizer.param_groups[0]["weight_decay"] = 0.1
    assert not found.refresh(lambda values: values[decay] == 0)
    assert found.tensors[decay] == 0


@pytest.mark.parametrize("change", [{"amsgrad": True}, {"lr": torch.tensor(0.1)}, {"betas": (0.9, 0.99, 0.5)}])
def test_structure_is_refused(optimizer, change):
    found = HyperParameters(optimizer)
    optimizer.param_groups[0] |= change
    assert not found.refresh(always)


def test_another_group_or_parameter_is_refused(optimizer):
    found = HyperParameters(optimizer)
    optimizer.param_groups[0]["params"].append(torch.nn.Parameter(torch.ones(1)))
    assert not found.refresh(always)
    found = HyperParameters(optimizer)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    assert not found.refresh(always)


def test_a_tensor_of_the_user_is_itself_the_input():
    lr = torch.tensor(0.1)
    found = HyperParameters(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr))
    assert found.tensors[found.names.index("lr")] is lr
    lr.fill_(0.2)
    assert found.refresh(always)


def test_numbers_take_the_place_of_the_tensors(optimizer):
    found = HyperParameters(optimizer)
    (group,) = found.groups_with([f"<{name}>" for name in found.names])
    assert group["lr"] == "<lr>"
    assert group["betas"] == ["<betas[0]>", "<betas[1]>"]
    assert group["amsgrad"] is False
    assert "params" not in group
    assert optimizer.param_groups[0]["lr"] == 1e-3


@pytest.mark.parametrize("changes", [[0.5, 1, 0.25, 2], [1, 0.5]])
def test_whole_numbers_and_fractions_are_one_kind(changes):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1, momentum=0)
    found = HyperParameters(optimizer)
    lr = found.tensors[found.names.index("lr")]
    for value in changes:
        optimizer.param_groups[0]["lr"] = value
        assert found.refresh(always)
        assert lr == value
    assert "momentum" in found.names  # a float, says the constructor of SGD, although its default is 0


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_numbers_of_numpy_are_numbers(kind):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=kind(1), momentum=0.9)
    found = HyperParameters(optimizer)
    optimizer.param_groups[0]["lr"] = kind(2)
    assert found.refresh(lambda _: True)
    assert found.tensors[found.names.index("lr")] == 2.0


def test_a_whole_number_beside_a_fraction_is_one_too():
    optimizer = torch.optim.Rprop([torch.nn.Parameter(torch.ones(1))], step_sizes=(1e-6, 50))
    found = HyperParameters(optimizer)
    optimizer.param_groups[0]["step_sizes"] = (1, 20.5)
    assert found.refresh(always)
    read = dict(zip(found.names, found.tensors, strict=True))
    assert (read["step_sizes[0]"], read["step_sizes[1]"]) == (1, 20.5)


@pytest.mark.parametrize(("now", "fits"), [((None, 0.5), True), ((None, 1), True), ((0.5, 0.5), False)])
def test_a_none_in_a_pair_is_structure(now, fits):
    optimizer = torch.optim.Adafactor([torch.nn.Parameter(torch.ones(1))], eps=(None, 1e-3))
    found = HyperParameters(optimizer)
    assert "eps[0]" not in found.names
    (group,) = found.groups_with([f"<{name}>" for name in found.names])
    assert group["eps"] == [None, "<eps[1]>"]
    optimizer.param_groups[0]["eps"] = now
    assert found.refresh(always) is fits


class Iterates(torch.optim.SGD):
    def __init__(self, params, count: int = 2, weights=(1, 2), on=True):
        super().__init__(params)
        self.param_groups[0] |= {"count": count, "weights": weights, "on": on}


@pytest.mark.parametrize(
    "change", [{"count": 3}, {"weights": (1, 3)}, {"on": False}, {"lr": True}, {"lr": None}, {"lr": [0.1]}]
)
def test_counts_and_switches_are_structure(change):
    optimizer = Iterates([torch.nn.Parameter(torch.ones(1))])
    found = HyperParameters(optimizer)
    assert {"count", "weights[0]", "on"}.isdisjoint(found.names)
    assert found.groups_with(found.tensors)[0]["weights"] == (1, 2)
    optimizer.param_groups[0] |= change
    assert not found.refresh(always)
