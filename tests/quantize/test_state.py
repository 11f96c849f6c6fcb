from __future__ import annotations

import torch

from tessera.quantize.state import changed_by, same_bits, state_kept


class Counts(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(2))
        self.register_buffer("last", torch.zeros(0))
        self.register_buffer("still", torch.tensor([float("nan")]))

    def forward(self, x):
        self.calls += 1
        self.last = x


def test_buffers_are_as_they_were():
    model = Counts()
    calls, last = model.calls, model.last
    with state_kept(model):
        model(torch.ones(3))
        assert model.calls.tolist() == [1, 1]
    assert model.calls is calls
    assert model.last is last
    assert model.calls.tolist() == [0, 0]
    with state_kept(model, ["last"]):
        model(torch.ones(3))
    assert model.last is last
    assert model.calls.tolist() == [1, 1]


def test_what_a_call_changes():
    model = Counts()
    found = changed_by(model, lambda: model(torch.ones(3)))
    assert {name: value.tolist() for name, value in found.items()} == {"calls": [1, 1], "last": [1, 1, 1]}
    assert model.calls.tolist() == [0, 0]


def test_equal_means_bit_for_bit():
    nan = torch.tensor([float("nan")])
    assert same_bits(nan, nan.clone())
    assert not same_bits(torch.zeros(1), torch.zeros(2))
    assert not same_bits(torch.zeros(1), torch.zeros(1, dtype=torch.float64))
    assert not same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))
