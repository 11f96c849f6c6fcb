from __future__ import annotations

from dataclasses import dataclass

import tessera
from tessera import Tensor
from tessera.check.annotation_edits import annotation_edits
from tessera.shapes.signature import read_contract


def edits(function, sizes=()):
    return {edit.text: edit for edit in annotation_edits(read_contract(function), list(sizes))}


def joined(
    a: Tensor["B", "N"],
    b: Tensor["M", "B"],
) -> Tensor["B", "N+M"]:
    raise NotImplementedError


def test_an_order_that_no_other_annotation_has_is_likelier_wrong():
    found = edits(joined)
    assert found['b: Tensor["B", "M"]'].cost < found['a: Tensor["N", "B"]'].cost
    assert found['b: Tensor["B", "M"]'].where.code == 'b: Tensor["M", "B"],'


def test_a_size_becomes_another_that_is_declared_or_a_number_that_is_there():
    def function(x: Tensor["B", 32], w: Tensor[64, "E"]) -> Tensor["B", "E"]:
        raise NotImplementedError

    found = edits(function, [10])
    assert {'x: Tensor["B", 64]', 'w: Tensor[32, "E"]', 'x: Tensor["B", 10]', 'x: Tensor["E", 32]'} <= set(found)
    assert "x: Tensor[10, 32]" not in found


def test_a_dim_more_or_less():
    found = edits(joined)
    assert {'a: Tensor["B"]', 'a: Tensor["B", "N", 1]', 'a: Tensor[1, "B", "N"]'} <= set(found)


def test_a_result_may_be_open_in_one_place_at_the_price_of_saying_nothing_there():
    found = edits(joined)
    assert found['-> Tensor["_", "N + M"]'].cost > found['a: Tensor["B", "M"]'].cost
    assert found["-> Tensor"].cost > found['-> Tensor["_", "N + M"]'].cost


def test_a_field_has_its_own_line():
    @dataclass
    class Batch:
        images: Tensor["B", 3]
        labels: Tensor["C", "B"]

    def function(batch: Batch) -> Tensor["B", "C"]:
        raise NotImplementedError

    contract = read_contract(function, {"Batch": Batch})
    some = [one for one in annotation_edits(contract, []) if one.text == 'batch: Tensor["B", "C"]']
    (edit,) = [one for one in some if "labels" in one.where.code]
    assert edit.where.code == 'labels: Tensor["C", "B"]'
    assert str(edit.contract.parameters["batch"].fields["labels"]) == 'Tensor["B", "C"]'
    assert str(contract.parameters["batch"].fields["labels"]) == 'Tensor["C", "B"]'


def test_a_result_may_have_a_dimension_less_where_no_edit_of_the_code_gives_it_one():
    def chances(logits: Tensor["B", "A"]) -> Tensor["B", "A"]:
        return (logits.exp() * logits).sum(-1)

    found = edits(joined)
    assert found['-> Tensor["B"]'].cost > found['b: Tensor["B", "M"]'].cost
    (finding,) = tessera.check(chances).errors
    assert finding.where.code == 'def chances(logits: Tensor["B", "A"]) -> Tensor["B", "A"]:'
