from __future__ import annotations

import typing

import pytest
import torch

from tessera import Tensor, between, dims
from tessera.errors import AnnotationError
from tessera.shapes.annotation import place_of_text, spec_of
from tessera.shapes.size import Dim
from tessera.shapes.spec import AnySize, OneOr, Several


def test_an_annotation_is_a_tensor_to_all_other_tools():
    annotation = Tensor["B", 3]
    assert typing.get_args(annotation)[0] is torch.Tensor
    assert typing.get_origin(annotation | None) is typing.Union
    assert isinstance(torch.ones(2), Tensor)
    assert not isinstance(3, Tensor)
    assert issubclass(torch.nn.Parameter, Tensor)


def test_dims_texts_and_type_parameters_say_the_same():
    B, S = dims("B S")
    T = typing.TypeVar("T")
    assert spec_of(Tensor[B, 2 * S]) == spec_of(Tensor["B", "2*S"])
    assert spec_of(Tensor[T]) == spec_of(Tensor["T"])


def test_dtype_device_and_range_may_stand_anywhere():
    said = spec_of(Tensor[torch.float16, "B", torch.device("meta"), between(-1, 1), 4])
    assert (said.dtypes, said.device, said.values) == ((torch.float16,), torch.device("meta"), between(-1, 1))
    assert [str(place) for place in said.places] == ["B", "4"]
    assert spec_of(Tensor["cpu"]).device == torch.device("cpu")


def test_special_places():
    assert place_of_text("...") == Several()
    assert place_of_text("*batch") == Several("batch")
    assert place_of_text("_") == AnySize()
    assert place_of_text("#B") == OneOr(Dim("B"))


@pytest.mark.parametrize("part", [True, None, -1, 1.5, [2], "B S", "2H", "*a*b"])
def test_what_cannot_stand_there_is_refused(part):
    with pytest.raises(AnnotationError):
        Tensor["B", part]


def test_several_dimensions_stand_in_one_place():
    with pytest.raises(AnnotationError, match="in two places"):
        Tensor[..., 3, "*more"]


def test_a_bare_tensor_and_a_subclass_say_nothing_and_other_types_are_not_tensors():
    assert spec_of(Tensor).places is None
    assert spec_of(torch.nn.Parameter).places is None
    assert spec_of(int) is None
    assert spec_of(list[int]) is None


def test_jaxtyping_is_understood_by_what_it_looks_like():
    float_annotation = type(
        "Float[Tensor, 'b n+1 ... _x #c 3']",
        (),
        {"dim_str": "b n+1 ... _x #c 3", "dtypes": ["float32", "float64"], "array_type": torch.Tensor},
    )
    said = spec_of(float_annotation)
    assert [str(place) for place in said.places] == ["b", "n + 1", "...", "_", "#c", "3"]
    assert said.dtypes == (torch.float32, torch.float64)
    assert said.kind == "float"
