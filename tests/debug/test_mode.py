from __future__ import annotations

import inspect

import pytest
import torch

import tessera
from tessera.errors import NonFiniteValueError
from tests.debug import births, healthy


@pytest.mark.parametrize("name", births.PROGRAMS)
def test_a_value_that_is_not_finite_stops_at_its_line(name):
    program = births.PROGRAMS[name]
    torch.manual_seed(0)
    with pytest.raises(NonFiniteValueError) as caught, tessera.debug_mode():
        program()
    assert caught.value.where is not None, str(caught.value)
    assert caught.value.where.file == births.__file__, str(caught.value)
    assert caught.value.where.code.endswith("# born"), str(caught.value)
    inside, first = inspect.getsourcelines(program)
    if name != "in_a_layer":
        assert first <= caught.value.where.line < first + len(inside)


@pytest.mark.parametrize("name", healthy.PROGRAMS)
def test_infinities_on_purpose_do_not_stop(name):
    torch.manual_seed(0)
    with tessera.debug_mode():
        healthy.PROGRAMS[name]()
