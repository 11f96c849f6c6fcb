from __future__ import annotations

import dataclasses
import typing

import pytest
import torch

from tessera import Tensor, dims
from tessera.errors import AnnotationError
from tessera.shapes.signature import (
    FieldsOf,
    MappingOf,
    OptionalOf,
    SequenceOf,
    TupleOf,
    read_contract,
    read_expected,
    specs_in,
)

B, S = dims("B S")


@dataclasses.dataclass
class Batch:
    ids: Tensor[B, S, torch.int64]
    weight: float
    mask: Tensor[B, S] | None = None


class Pair(typing.NamedTuple):
    left: Tensor[B]
    right: int


def test_annotations_that_are_text_are_read_where_they_stand():
    def f(x: Tensor[B, S, 3], n: int, *, y: Tensor[B] = None) -> Tensor[B * S]:
        return x

    contract = read_contract(f)
    assert list(contract.parameters) == ["x", "y"]
    assert str(contract.parameters["x"]) == 'Tensor["B", "S", 3]'
    assert str(contract.returns) == 'Tensor["B*S"]'
    assert contract.names == ("B", "S")
    assert contract.where.line == f.__code__.co_firstlineno


def test_names_around_a_function_are_known_to_its_annotations():
    def outer():
        (N,) = (dims("N"),)

        def f(x: Tensor[N]):
            return x

        return read_contract(f, locals())

    assert outer().names == ("N",)


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (Tensor["B"] | None, OptionalOf),
        (typing.Optional[Tensor["B"]], OptionalOf),  # noqa: UP045 - the older spelling is what is tested
        (list[Tensor["B"]], SequenceOf),
        (tuple[Tensor["B"], ...], SequenceOf),
        (tuple[Tensor["B"], int], TupleOf),
        (dict[str, Tensor["B"]], MappingOf),
        (typing.Mapping[str, Tensor["B"]], MappingOf),
        (Batch, FieldsOf),
        (Pair, FieldsOf),
    ],
)
def test_tensors_are_found_inside_of_other_types(annotation, kind):
    found = read_expected(annotation)
    assert isinstance(found, kind)
    assert "B" in {name for spec in specs_in(found) for name in spec.names}


@pytest.mark.parametrize("annotation", [int, str, tuple[int, str], Tensor["B"] | int, typing.Any, torch.nn.Linear])
def test_what_says_nothing_certain_of_a_tensor_is_left_alone(annotation):
    assert read_expected(annotation) is None


def test_a_record_that_holds_itself_ends():
    assert isinstance(read_expected(Node), FieldsOf)


@dataclasses.dataclass
class Node:
    value: Tensor[B]
    next: Node | None = None


def test_a_malformed_annotation_names_the_line_of_its_function():
    def f(x: Tensor["B S"]):
        return x

    with pytest.raises(AnnotationError) as caught:
        read_contract(f)
    assert caught.value.where.line == f.__code__.co_firstlineno
    assert 'Tensor["B", "S"]' in str(caught.value)


def test_a_dtype_that_torch_does_not_have_is_told_with_the_one_that_was_meant():
    def f(x: Tensor["B", torch.flaot32]) -> Tensor["B"]:
        return x

    with pytest.raises(AnnotationError, match="There is no 'flaot32' in torch.") as raised:
        read_contract(f)
    assert raised.value.fix.startswith("Write torch.float32")
    assert raised.value.where.line == f.__code__.co_firstlineno


def test_an_annotation_of_what_is_not_known_is_left_out():
    def f(x: Tensor[B], y: NotThere):
        return x

    assert list(read_contract(f).parameters) == ["x"]


def test_plain_tensors_say_nothing_to_check():
    def f(x: Tensor, y: torch.Tensor) -> Tensor:
        return x

    assert not read_contract(f).says_something
