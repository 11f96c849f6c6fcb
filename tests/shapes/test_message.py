from __future__ import annotations

import dataclasses

import pytest
import torch

from tessera import Tensor
from tessera.shapes.message import describe, expected_text
from tessera.shapes.signature import read_expected
from tessera.shapes.unify import unify


@dataclasses.dataclass
class Batch:
    ids: Tensor[B]


def words(annotation, value, **others):
    expected = {name: read_expected(a) for name, (a, _) in others.items()} | {"x": read_expected(annotation)}
    return describe(unify(expected, {name: v for name, (_, v) in others.items()} | {"x": value}))


def test_a_size_is_said_with_what_the_name_stands_for_and_who_said_so():
    said = words(Tensor["B", "D"], torch.empty(4, 8), w=(Tensor["D"], torch.empty(6)))
    assert said.expected == 'Tensor["B", "D"] where D = 6'
    assert said.received == "Tensor[4, 8]"
    assert said.why == "Dimension 1 of the argument 'x' is declared D = 6 by 'w', and is 8."
    assert said.fixes == ('declare it Tensor["B", 8]',)


def test_a_transpose_is_proposed_where_it_fits():
    said = words(Tensor["B", 3, "H"], torch.empty(4, 8, 3))
    assert said.fixes[0] == "x.transpose(1, 2)"


def test_ranks():
    assert words(Tensor["B", 3], torch.empty(3)).fixes == ("x.unsqueeze(0)",)
    assert words(Tensor["B", 3], torch.empty(4, 1, 3)).fixes == ("x.squeeze(1)",)
    assert words(Tensor["B", ..., 3], torch.empty(3)).why == (
        "The argument 'x' has 1 dimensions, and is declared with 2 or more."
    )


def test_dtypes_devices_and_other_things():
    assert words(Tensor["B", torch.int64], torch.empty(2)).fixes == ("x.to(torch.int64)",)
    assert words(Tensor["B", "meta"], torch.empty(2)).fixes == ('x.to("meta")',)
    assert words(Tensor["B"], None).received == "None"
    assert words(list[Tensor["B"]], 3).expected == 'list[Tensor["B"]]'


def test_what_a_tensor_can_be_made_of_is_told_how_in_one_line():
    said = words(Tensor["B", 3], [[1.0, 2.0, 3.0]])
    assert said.fixes == ("torch.as_tensor(x)",)
    table = type("Table", (), {"__array__": None, "__repr__": lambda self: "rows\n  of   numbers"})()
    said = words(Tensor["B", 3], table)
    assert (said.received, said.fixes) == ("Table rows of numbers", ("torch.as_tensor(x)",))
    assert words(Tensor["B", 3], "abc").fixes == ()


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Tensor["B"] | None, 'Tensor["B"] | None'),
        (tuple[Tensor["B"], ...], 'tuple[Tensor["B"], ...]'),
        (tuple[Tensor["B"], int], 'tuple[Tensor["B"], Any]'),
        (dict[str, Tensor["B"]], 'dict[str, Tensor["B"]]'),
        (Batch, "Batch"),
    ],
)
def test_annotations_are_written_as_they_were(annotation, text):
    assert expected_text(read_expected(annotation)) == text
