from __future__ import annotations

import math

import pytest
import torch

from tessera.export.agreement import compare
from tessera.export.example import Example

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def example(x: torch.Tensor = X) -> Example:
    return Example((x,), ("x",), ({0: "batch"},))


def test_the_model_agrees_with_itself():
    module = torch.nn.Linear(3, 2)
    found = compare(module, lambda case: [module(case.tensors[0]).detach()], example())
    assert found.accepted
    assert found.max_error == 0.0
    assert found.reason.startswith("Its answers differ from the model's by 0 at most (batch 4; batch 1; ")
    assert found.reason.endswith("; batch 11).")


def test_rounding_is_allowed_and_more_is_not():
    module = torch.nn.Linear(3, 2)

    def off_by(error):
        return compare(module, lambda case: [module(case.tensors[0]).detach() + error], example())

    assert off_by(1e-6).accepted
    assert off_by(1e-6).max_error == pytest.approx(1e-6, rel=0.2)
    assert not off_by(1e-2).accepted
    assert "away from the exact ones" in off_by(1e-2).reason


def test_a_model_that_rounds_much_allows_as_much():
    class Cancelling(torch.nn.Module):
        def forward(self, x):
            return (x + 1e4) - 1e4

    def off_by(error):
        return compare(Cancelling(), lambda case: [case.tensors[0] + error], example())

    assert off_by(1e-3).accepted
    assert not off_by(0.1).accepted
    assert off_by(1e-3).max_error > 1e-3


def test_a_random_model_agrees_with_nothing():
    class Random(torch.nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    found = compare(Random(), lambda case: [case.tensors[0]], example())
    assert not found.accepted
    assert found.reason == "The model itself answers differently the second time it is called."


def test_one_size_may_disagree():
    module = torch.nn.Linear(3, 2)
    found = compare(module, lambda case: [module(case.tensors[0]).detach() + (len(case.tensors[0]) == 5)], example())
    assert not found.accepted
    assert found.reason.startswith("With batch 5 its answers are 1 away")


def test_a_file_that_does_not_run():
    def broken(case):
        raise RuntimeError("Invalid rank for input: x.\nmore")

    found = compare(torch.nn.Linear(3, 2), broken, example())
    assert not found.accepted
    assert found.reason == "With batch 4 it does not run: Invalid rank for input: x."
    assert math.isinf(found.max_error)


def test_other_shapes():
    found = compare(torch.nn.Linear(3, 2), lambda case: [torch.zeros(4, 1)], example())
    assert found.reason == "With batch 4 it answers with float32[4, 1] and the model with float32[4, 2]."


def test_whole_numbers_are_equal_or_wrong():
    class Best(torch.nn.Module):
        def forward(self, x):
            return x.argmax(1)

    assert compare(Best(), lambda case: [case.tensors[0].argmax(1)], example()).accepted
    assert not compare(Best(), lambda case: [case.tensors[0].argmax(1) + 1], example()).accepted


def test_whole_numbers_that_float64_does_not_tell_apart():
    class Hash(torch.nn.Module):
        def forward(self, x):
            return (x > 0).long() + 2**53

    off_by_one = compare(Hash(), lambda case: [(case.tensors[0] > 0).long() + 2**53 + 1], example())
    assert not off_by_one.accepted
    assert off_by_one.max_error >= 1


def test_another_type_is_another_answer():
    class Mask(torch.nn.Module):
        def forward(self, x):
            return (x > 0).to(torch.uint8)

    found = compare(Mask(), lambda case: [(case.tensors[0] > 0).to(torch.int8)], example())
    assert found.reason == "With batch 4 it answers with int8[4, 3] and the model with uint8[4, 3]."


def test_complex_numbers_differ_in_either_part():
    class Turned(torch.nn.Module):
        def forward(self, x):
            return torch.complex(x, x)

    assert compare(Turned(), lambda case: [torch.complex(case.tensors[0], case.tensors[0])], example()).accepted
    found = compare(Turned(), lambda case: [torch.complex(case.tensors[0], -case.tensors[0])], example())
    assert not found.accepted


def test_nan_and_infinity_agree_with_themselves():
    x = torch.tensor([[1.0], [math.nan], [math.inf], [-math.inf]])
    assert compare(torch.nn.Identity(), lambda case: [case.tensors[0]], example(x)).max_error == 0.0
    found = compare(torch.nn.Identity(), lambda case: [case.tensors[0].nan_to_num(0.0)], example(x))
    assert not found.accepted


def test_a_size_that_the_model_does_not_take_is_not_held_against_the_file():
    class Pairs(torch.nn.Module):
        def forward(self, x):
            return x.view(2, -1, 3).sum(1)

    found = compare(Pairs(), lambda case: [case.tensors[0].view(2, -1, 3).sum(1)], example())
    assert found.accepted
    assert found.reason.endswith("(batch 4; batch 2). The model itself does not take batch 1; batch 5; batch 11.")


def test_a_model_of_one_dtype_is_its_own_reference():
    class Single(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.linear(x, torch.ones(2, 3))  # fails in float64

    assert compare(Single(), lambda case: [case.tensors[0] @ torch.ones(3, 2)], example()).accepted
