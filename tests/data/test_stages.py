from __future__ import annotations

import pytest

from tessera.data.stages import Filter, Map, Read
from tessera.errors import SettingError
from tests.data.functions import double, is_even, noisy


def test_a_stage_knows_its_function():
    stage = Map(double)
    assert stage.name == "map double"
    assert stage.line.file == double.__code__.co_filename
    assert stage(3) == 6
    assert Filter(is_even).name == "filter is_even"


def test_another_function_may_be_shown():
    stage = Read(double, shown=noisy)
    assert stage.name == "read noisy"
    assert stage.line.line == noisy.__code__.co_firstlineno
    assert not stage.wants_rng
    assert stage(3) == 6


@pytest.mark.parametrize("nothing", [None, 3, double(2)])
def test_what_is_no_function(nothing):
    with pytest.raises(SettingError, match=r"^map\(.*\) was called\. It takes a function of one sample"):
        Map(nothing)


def test_who_is_seeded():
    assert Map(double).seeded
    assert not Map(double, random=False).seeded
    assert not Map(noisy).seeded


def test_a_generator_is_given_to_who_asks():
    stage = Map(noisy)
    assert stage(1, 5, 0) == stage(1, 5, 0) != stage(1, 5, 1)
