from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from tessera.data.structure import leaves_of


class Point(NamedTuple):
    x: object
    y: object


def test_leaves_are_taken_out_and_put_back():
    value = {"a": (torch.ones(2), [np.zeros(3), "text", 5]), "b": Point(torch.zeros(1), None), "c": []}
    leaves, rebuild = leaves_of(value)
    assert [tuple(leaf.shape) for leaf in leaves] == [(2,), (3,), (1,)]
    made = rebuild([1, 2, 3])
    assert made == {"a": (1, [2, "text", 5]), "b": Point(3, None), "c": []}
    assert type(made["b"]) is Point


def test_a_named_tuple_that_looks_at_its_parts():
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(2), torch.ones(1)])
    leaves, rebuild = leaves_of((packed, 1))
    assert [tuple(leaf.shape) for leaf in leaves] == [(3,), (2,)]
    made, _ = rebuild(leaves)
    assert type(made) is type(packed)
    assert torch.equal(made.data, packed.data)


def test_a_leaf_alone_and_no_leaf():
    _, rebuild = leaves_of(torch.ones(1))
    assert rebuild(["other"]) == "other"
    assert leaves_of("text")[0] == []
    assert leaves_of("text")[1]([]) == "text"


def test_what_a_leaf_is_can_be_chosen():
    leaves, rebuild = leaves_of((1, "two", 3), lambda part: isinstance(part, int))
    assert leaves == [1, 3]
    assert rebuild([0, 0]) == (0, "two", 0)
