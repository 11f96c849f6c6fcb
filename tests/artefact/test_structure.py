"""Batches as data."""

from __future__ import annotations

import json
import random

import pytest
import torch

from tessera.artefact.structure import CannotDescribe, Structure, structure_of


def again(structure):
    return Structure(*json.loads(json.dumps([structure.written, structure.layouts])))


def test_tensors_are_numbered_in_order():
    x, y = torch.zeros(2, 3), torch.zeros(4, dtype=torch.int64)
    found = structure_of([(x, [y, None]), {"a": x, "b": 1.5}])
    assert found.written == [
        ["tuple", ["tensor", 0], ["list", ["tensor", 1], ["NoneType", None]]],
        ["dict", ["a", ["tensor", 0]], ["b", ["float", 1.5]]],
    ]
    assert found.layouts == [[[2, 3], [3, 1], "float32"], [[4], [1], "int64"]]


def random_batch(generator, depth=0):
    kind = generator.choice(["tensor", "tensor", "constant", "tuple", "list", "dict"] if depth < 3 else ["tensor"])
    if kind == "tensor":
        return torch.zeros([generator.randrange(3) for _ in range(generator.randrange(3))])
    if kind == "constant":
        return generator.choice([None, True, 1, 2.5, "word"])
    parts = [random_batch(generator, depth + 1) for _ in range(generator.randrange(3))]
    return {"tuple": tuple, "list": list, "dict": lambda p: {f"k{i}": v for i, v in enumerate(p)}}[kind](parts)


@pytest.mark.parametrize("seed", range(30))
def test_leaves_and_their_places_are_each_others_inverse(seed):
    batch = [random_batch(random.Random(seed)) for _ in range(2)]
    structure = again(structure_of(batch))
    leaves = structure.leaves(batch)
    assert len(leaves) == len(structure.layouts)
    assert all(a is b for a, b in zip(leaves, again(structure_of(structure.filled(leaves))).leaves(batch), strict=True))
    assert [list(t.shape) for t in structure.stand_ins()] == [shape for shape, _, _ in structure.layouts]
    other = [random_batch(random.Random(seed + 1000)) for _ in range(2)]
    same = structure_of(other).written == structure.written
    assert (structure.leaves(other) is not None) == same


def test_which_tensors_are_one_is_part_of_it():
    x, y = torch.zeros(2), torch.zeros(2)
    twice, apart = structure_of([(x, x)]), structure_of([(x, y)])
    assert twice.leaves([(y, y)])[0] is y
    assert twice.leaves([(x, y)]) is None
    assert apart.leaves([(x, x)]) is None


@pytest.mark.parametrize(
    ("saved", "came"), [(1, True), (1, 1.0), (None, 0), ("a", "b"), ((), []), ({"a": 1}, {"b": 1})]
)
def test_constants_and_containers_are_what_they_were(saved, came):
    structure = structure_of([saved])
    assert structure.leaves([saved]) == []
    assert structure.leaves([came]) is None


def test_what_is_no_plain_batch():
    for value, word in (
        (object(), "builtins.object"),
        ({1: torch.zeros(1)}, "builtins.dict"),
        (torch.nn.Parameter(torch.zeros(1)), "Parameter"),
        (torch.zeros(1, device="meta"), "meta"),
        (torch.zeros(2, 2).to_sparse(), "sparse"),
        (slice(1), "slice"),
    ):
        with pytest.raises(CannotDescribe, match=word):
            structure_of([value])
