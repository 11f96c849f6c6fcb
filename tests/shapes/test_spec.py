from __future__ import annotations

import torch

from tessera import Tensor, between
from tessera.shapes.annotation import spec_of
from tessera.shapes.spec import AnySize, TensorSpec, shape_text


def spec(annotation):
    return spec_of(annotation)


def test_a_spec_is_written_as_its_annotation():
    assert str(spec(Tensor["B", "2*H", 512])) == 'Tensor["B", "2*H", 512]'
    assert str(spec(Tensor["B", ..., torch.bfloat16])) == 'Tensor["B", ..., bfloat16]'
    assert str(spec(Tensor["B", "cuda:1", between(0, 1)])) == 'Tensor["B", "cuda:1", between(0, 1)]'
    assert str(spec(Tensor[torch.int64])) == "Tensor[..., int64]"
    assert str(spec(Tensor)) == "Tensor"
    assert shape_text([]) == "Tensor[()]"


def test_places_are_laid_beside_dimensions():
    assert spec(Tensor["B", 3]).aligned(2) == list(spec(Tensor["B", 3]).places)
    assert spec(Tensor["B", 3]).aligned(3) is None
    some = spec(Tensor["B", ..., 3])
    assert [str(place) for place in some.aligned(4)] == ["B", "_", "_", "3"]
    assert [str(place) for place in some.aligned(2)] == ["B", "3"]
    assert some.aligned(1) is None
    assert TensorSpec(None).aligned(2) == [AnySize(), AnySize()]


def test_names_are_each_given_once():
    assert spec(Tensor["B", "B*S", "#H", "*rest", "_"]).names == ("B", "S", "H")
