from __future__ import annotations

import math

import torch
from torch import nn

from tessera import Tensor
from tessera.check.budget import Budget
from tessera.check.candidates import candidates
from tessera.check.run import Plan, run
from tessera.check.visited import visited
from tessera.shapes.signature import read_contract


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 6)

    def forward(self, x: Tensor["B", 8]) -> Tensor["B", 5]:
        return self.inner(x).view(-1, 5)


def found(module, most=math.inf):
    contract = read_contract(module.forward)
    with visited() as seen:
        base = run(module, contract, Plan({"B": 97}, {}, in_numbers=True), module)
    return candidates(base, seen.names, contract, has_layers=True, work=Budget(most))


def test_calls_layers_text_and_annotations_are_edited_the_cheapest_first():
    some = found(Net())
    assert {type(one.edit).__name__ for one in some} == {"tuple", "LayerEdit", "EditedText", "AnnotationEdit"}
    assert [one.cost for one in some] == sorted(one.cost for one in some)
    layer = next(one for one in some if one.text == "Linear(out_features=5)")  # what the view asks for
    assert layer.where.code == "self.inner = nn.Linear(8, 6)"


def test_what_each_place_of_a_view_would_have_to_be_is_a_size():
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(8, 36)

        def parts(self, x, last):
            return x.view(x.shape[0], 9, last)

        def forward(self, x: Tensor["B", 8]) -> Tensor["B", 9, 4]:
            classes = 20
            return self.parts(self.inner(x), classes)

    assert "4 in place of classes" in {one.text for one in found(Parts())}


def test_once_the_work_is_done_no_call_is_tried():
    some = found(Net(), most=0)
    assert "tuple" not in {type(one.edit).__name__ for one in some}


def test_the_constructor_is_among_the_texts():
    lines = {one.where.code for one in found(Net()) if one.text == "16 in place of 8"}
    assert lines == {"self.inner = nn.Linear(8, 6)"}
    assert torch.is_grad_enabled()


def test_a_declared_number_may_be_what_was_meant():
    assert "5 in place of 6" in {one.text for one in found(Net())}


def test_a_result_that_is_too_long_is_cut():
    def padded(x: Tensor["B", "S"]) -> Tensor["B", "S"]:
        y = nn.functional.pad(x, (0, 3))
        return y * 2

    contract = read_contract(padded)
    with visited() as seen:
        base = run(padded, contract, Plan({"B": 97, "S": 131}, {}, in_numbers=True), None)
    some = candidates(base, seen.names, contract, has_layers=False, work=Budget())
    assert "(y * 2)[:, :S]" in {one.text for one in some}


def test_what_parts_are_split_of_is_a_size():
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(8, 24)

        def forward(self, x: Tensor["B", 8]) -> Tensor["B", 5]:
            return self.inner(x).split([17, 5], dim=-1)[1]

    assert any(one.text == "Linear(out_features=22)" for one in found(Split()))
