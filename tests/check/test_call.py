from __future__ import annotations

import pytest
import torch

from tessera.check.call import Call, refuse
from tessera.check.world import World
from tessera.shapes.size import read_size


def call(function, *args):
    return Call(function, args, {}, None)


def test_what_kernels_refuse_is_refused_without_data():
    world = World({"B": 97, "S": 131})
    with world.mode:
        mask = torch.empty(world.size(read_size("B")), dtype=torch.bool)
        x = torch.empty(world.size(read_size("B")), world.size(read_size("S")))
    for wrong in (call(torch.Tensor.__rsub__, mask, 1), call(torch.sub, mask, mask), call(torch.neg, mask)):
        with pytest.raises(RuntimeError, match="bool"):
            refuse(wrong, world)
    with pytest.raises(RuntimeError, match="letter 'i'"):
        refuse(call(torch.einsum, "ij,ki->jk", x, x), world)
    for right in (call(torch.sub, x, x), call(torch.einsum, "ij,ik->jk", x, x), call(torch.add, mask, mask)):
        refuse(right, world)


def test_factors_of_two_dtypes_are_refused_but_where_they_are_cast():
    world, x = World({}), torch.ones(2, 2)
    heads = torch.ones(1, 2, 2)
    attention = torch.nn.functional.scaled_dot_product_attention
    for wrong in (
        call(torch.nn.functional.linear, x.half(), x),
        call(torch.Tensor.__matmul__, x.long(), x),
        call(torch.einsum, "ij,jk->ik", x.double(), x),
        call(attention, heads, heads.double(), heads),
    ):
        with pytest.raises(RuntimeError, match="the same dtype"):
            refuse(wrong, world)
        with torch.autocast("cpu", torch.bfloat16):
            refuse(wrong, world)
    refuse(call(torch.nn.functional.linear, x, x, x[0]), world)
    refuse(call(attention, heads, heads, heads, heads.bool()), world)
    refuse(call(torch.Tensor.__mul__, x.long(), x), world)


def test_labels_have_the_shape_of_what_is_predicted_without_the_classes():
    world = World({"B": 7, "L": 11})
    entropy = torch.nn.functional.cross_entropy
    labels, right = torch.zeros(7, 11, 11, dtype=torch.int64), torch.ones(7, 37, 11, 11)
    with pytest.raises(RuntimeError, match="target size"):
        refuse(call(entropy, torch.ones(7, 11, 11, 37), labels), world)
    refuse(call(entropy, right, labels), world)
    refuse(call(entropy, right, right), world)
    refuse(call(entropy, torch.ones(37), torch.tensor(3)), world)


def test_a_call_has_the_name_of_its_function():
    assert call(torch.Tensor.__add__, 1, 2).name == "__add__"
