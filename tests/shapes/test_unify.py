from __future__ import annotations

import random
from typing import NamedTuple

import pytest
import torch

from tessera import Tensor
from tessera.shapes.signature import read_expected
from tessera.shapes.unify import Bindings, Mismatch, unify


def fit(**pairs):
    expected = {name: read_expected(annotation) for name, (annotation, _) in pairs.items()}
    return unify(expected, {name: value for name, (_, value) in pairs.items()})


def test_names_are_bound_across_arguments_and_computed_sizes_follow():
    found = fit(
        x=(Tensor["B", "S + 1"], torch.empty(4, 8)),
        y=(Tensor["S", "2*B"], torch.empty(7, 8)),
    )
    assert found.sizes == {"B": 4, "S": 7}
    assert found.said_by == {"B": "x", "S": "y"}


def test_one_unknown_name_is_solved_for():
    assert fit(x=(Tensor["2*H + 1"], torch.empty(9))).sizes == {"H": 4}
    assert isinstance(fit(x=(Tensor["2*H"], torch.empty(9))), Mismatch)
    assert isinstance(fit(x=(Tensor["H + 10"], torch.empty(9))), Mismatch)


def test_what_was_computed_from_sizes_always_fits_and_one_more_never_does():
    draw = random.Random(0)
    for _ in range(100):
        b, s, h = (draw.randint(1, 9) for _ in range(3))
        shapes = {"x": [b, s * h], "y": [s, b + h], "z": [h]}
        said = {"x": Tensor["B", "S*H"], "y": Tensor["S", "B + H"], "z": Tensor["H"]}
        assert isinstance(fit(**{n: (said[n], torch.empty(shapes[n])) for n in said}), Bindings)
        shapes["y"][1] += 1
        found = fit(**{n: (said[n], torch.empty(shapes[n])) for n in said})
        assert isinstance(found, Mismatch)
        assert (found.kind, found.place, found.axis) == ("size", "y", 1)


@pytest.mark.parametrize(
    ("annotation", "value", "kind"),
    [
        (Tensor["B"], torch.empty(2, 3), "rank"),
        (Tensor["B", 4], torch.empty(2, 3), "size"),
        (Tensor["B", "B"], torch.empty(2, 3), "size"),
        (Tensor["B", torch.int64], torch.empty(2), "dtype"),
        (Tensor["B", "meta"], torch.empty(2), "device"),
        (Tensor["B"], [1, 2], "type"),
        (Tensor["B"], None, "type"),
        (list[Tensor["B"]], [torch.empty(2), torch.empty(3)], "size"),
        (tuple[Tensor["B"], int], (torch.empty(2),), "type"),
        (dict[str, Tensor["B"]], {"a": torch.empty(2, 2)}, "rank"),
    ],
)
def test_the_kind_of_a_mismatch(annotation, value, kind):
    found = fit(x=(annotation, value))
    assert isinstance(found, Mismatch)
    assert found.kind == kind


def test_places_inside_of_arguments_are_named():
    class Pair(NamedTuple):
        left: Tensor[B]
        right: Tensor[B]

    found = fit(x=(Pair, Pair(torch.empty(2), torch.empty(3))))
    assert found.place == "x.right"
    assert fit(x=(dict[str, Tensor["B", 2]], {"k": torch.empty(1, 3)})).place == "x['k']"


def test_none_fits_what_is_optional_and_any_device_index_the_type():
    assert isinstance(fit(x=(Tensor["B"] | None, None)), Bindings)
    assert isinstance(fit(x=(Tensor["B", "cpu"], torch.empty(2))), Bindings)


def test_several_dimensions_of_one_name_are_the_same():
    same = fit(x=(Tensor["*n", 3], torch.empty(4, 5, 3)), y=(Tensor["*n"], torch.empty(4, 5)))
    other = fit(x=(Tensor["*n", 3], torch.empty(4, 5, 3)), y=(Tensor["*n"], torch.empty(4, 6)))
    assert isinstance(same, Bindings)
    assert isinstance(other, Mismatch)


def test_one_or_is_broadcast():
    assert isinstance(fit(x=(Tensor["B"], torch.empty(4)), y=(Tensor["#B"], torch.empty(1))), Bindings)
    assert isinstance(fit(x=(Tensor["B"], torch.empty(4)), y=(Tensor["#B"], torch.empty(2))), Mismatch)
