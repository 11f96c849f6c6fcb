"""Numbers that change from call to call, in f-strings: the text of a number, and not the number."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.backend.formats import formats_symbols
from tessera.torch_internals import Symbols

NUMBERS, ELEMENTS, SIZES = Symbols(True, True, False), Symbols(True, True, True), Symbols(True, False, False)


def _alone(x, k):
    return x * 2, f"{k}", {f"{k:03}": 1}, f"{k}" == "2"


def _only(x, k):
    return x, f"{k!r}"


def _broken(x, k):
    return x + 1, f"{k} of {x.sum().item()}"


@pytest.mark.parametrize("function", [_alone, _only, _broken])
def test_the_text_of_a_number(function):
    for numbers in ((1, 2, 13), (0.5, 1.5, 2.25)):
        compiled, x = tessera.compile(function), torch.ones(2)
        for k in numbers:
            assert compiled(x, k)[1:] == function(x, k)[1:]


def _counted(x, layers):
    for i, layer in enumerate(layers):
        x = x + getattr(layer, f"layer_{i}")
    return x


def _refused(x, k):
    if k < 0:
        raise ValueError(f"{k} is negative")
    return x


def _computed(x, k):
    return x, f"{k + 1}"


def _of_attribute(x, box):
    return x, f"{box.k:.2f}"


def _of_element(x, box):
    return x, f"{box[0]}"


@pytest.mark.parametrize("function", [_alone, _only, _broken, _of_attribute, _of_element])
def test_formats(function):
    assert formats_symbols([function.__code__], NUMBERS)
    assert not formats_symbols([function.__code__], SIZES)


@pytest.mark.parametrize("function", [_refused, _computed, _counted])
def test_does_not(function):
    assert not formats_symbols([function.__code__], NUMBERS)


def test_what_a_loop_counts_may_be_an_element():
    assert formats_symbols([_counted.__code__], ELEMENTS)
    assert not formats_symbols([_refused.__code__], ELEMENTS)
