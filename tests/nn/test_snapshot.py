from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import BatchNorm1d, Linear, Sequential

from tessera.nn.snapshot import Snapshot, version


def in_place(tensor):
    with torch.no_grad():
        tensor.add_(1.0)


@pytest.fixture
def model():
    return Sequential(Linear(2, 2), BatchNorm1d(2), torch.nn.Dropout(0.5))


CHANGES = {
    "a parameter": (lambda m, x: in_place(m[0].weight), "'0.weight' was changed in place"),
    "a bias": (lambda m, x: in_place(m[0].bias), "'0.bias' was changed in place"),
    "a buffer": (lambda m, x: in_place(m[1].running_mean), "'1.running_mean' was changed in place"),
    "an input": (lambda m, x: in_place(x), "input 1 was changed in place"),
    "eval": (lambda m, x: m.eval(), "set"),
    "eval of a part": (lambda m, x: m[2].eval(), "set"),
    "a rate": (lambda m, x: setattr(m[2], "p", 0.1), "set"),
    "a new parameter": (lambda m, x: setattr(m[0], "weight", torch.nn.Parameter(torch.ones(2, 2))), "set"),
    "a new buffer": (lambda m, x: setattr(m[1], "running_mean", torch.ones(2)), "set"),
    "a new layer": (lambda m, x: m.append(Linear(2, 2)), "set"),
    "another layer": (lambda m, x: m.__setitem__(0, Linear(2, 2)), "set"),
    "a new attribute": (lambda m, x: setattr(m, "step", 1), "set"),
    "an optimizer step": (lambda m, x: step(m), "'0.weight' was changed in place"),
}


def step(model):
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.SGD(model.parameters(), lr=0.1).step()


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_is_seen_and_named(case, model):
    change, said = CHANGES[case]
    x = torch.randn(3, 2)
    snapshot = Snapshot(model, [torch.ones(1), x])
    change(model, x)
    if said == "set":
        said = "an attribute, a parameter or the training mode of the model was set"
    assert snapshot.change() == said


def test_reading_is_no_change(model):
    x = torch.randn(3, 2)
    snapshot = Snapshot(model, [x])
    with torch.no_grad():
        model.eval()
        model(x)
        model.train()
    model.state_dict()
    list(model.parameters())
    assert snapshot.change() == ""


def test_attributes_alone_are_compared(model):
    before = Snapshot(model)
    in_place(model[0].weight)
    assert not before.attributes_changed()
    model.last = torch.ones(1)
    assert before.attributes_changed()


def test_a_module_in_two_places_and_a_missing_one_are_no_trouble():
    shared = Linear(2, 2)
    model = Sequential(shared, shared)
    model.register_module("none", None)
    model.register_buffer("no_buffer", None)
    snapshot = Snapshot(model)
    in_place(shared.bias)
    assert snapshot.change() == "'0.bias' was changed in place"


def test_it_knows_the_devices_with_random_numbers_of_their_own(model):
    gpu = torch.device("cuda", 1)
    on_gpu = SimpleNamespace(device=gpu, _version=0)
    assert Snapshot(model, [torch.ones(1, device="meta"), on_gpu, on_gpu]).devices() == [gpu]
    assert Snapshot(model, [torch.ones(1, device="meta")]).devices() == []


def test_tensors_of_inference_mode_do_not_count():
    with torch.inference_mode():
        frozen = torch.ones(2)
    assert version(frozen) == 0
    assert version(torch.ones(2).add_(1)) == 1
