from __future__ import annotations

import pytest

from tessera.errors import SettingError
from tessera.random.source import resolve_random


@pytest.mark.parametrize("source", ["torch", "tessera"])
def test_there_are_two(source):
    assert resolve_random(source) == source


@pytest.mark.parametrize("given", ["Tessera", "numpy", "", None, 3, True], ids=repr)
def test_anything_else_is_refused(given):
    with pytest.raises(SettingError) as error:
        resolve_random(given)
    assert f"random={given!r} was passed" in str(error.value)
    assert 'Write random="tessera"' in str(error.value)
