from __future__ import annotations

import pytest
import torch

import tessera
from tessera import Tensor


def of_two(*xs: Tensor["B", "D"]) -> Tensor["B", "D"]:
    left, right = xs
    return left * right


def of_five(xs: list[Tensor["B"]]) -> Tensor["B"]:
    return xs[4] + xs[0]


def by_key(x: Tensor["B", "D"], **named: Tensor["D"]) -> Tensor["B", "D"]:
    return x * named["scale"] + named["shift"]


def shifted(x, shift):
    return x + shift


def handed_on(x: Tensor["B", "D"], **named: Tensor["D"]) -> Tensor["B", "D"]:
    return shifted(x, **named)


def pairs_of_four(xs: tuple[Tensor["B"], ...]) -> Tensor["B"]:
    a, b, c, d = xs
    return a + b + c + d


@pytest.mark.parametrize("function", [of_two, of_five, by_key, handed_on, pairs_of_four], ids=lambda f: f.__name__)
def test_how_many_there_are_and_under_which_names_is_no_error(function):
    assert tessera.check(function).ok


def test_what_is_taken_for_granted_is_told():
    assert tessera.check(of_two).notes == ["of_two: taken for granted that a list has 2 items"]


def wrong_by_key(x: Tensor["B", "D"], **named: Tensor["D"]) -> Tensor["B", "D"]:
    return x * named["scale"][:, None]


def wrong_of_all(x: Tensor["B", "D"], **named: Tensor["D"]) -> Tensor["B", "D"]:
    for one in named.values():
        x = x + one[:, None]
    return x


def wrong_of_two(xs: list[Tensor["B", "D"]]) -> Tensor["B", "D"]:
    left, right = xs
    return left @ right


def wrong_key(batch: dict[str, Tensor["B"]], n: int = 3) -> Tensor["B"]:
    return torch.stack([batch["x"]] * n).sum(0)[{}["x"]]


@pytest.mark.parametrize("function", [wrong_by_key, wrong_of_all, wrong_of_two, wrong_key], ids=lambda f: f.__name__)
def test_what_is_wrong_for_any_number_of_them_is(function):
    assert not tessera.check(function).ok
