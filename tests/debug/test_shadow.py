from __future__ import annotations

import pytest

from tessera.debug.shadow import Schedule, Shadow, resolve_verify
from tessera.errors import SettingError


def test_the_first_calls_and_then_samples():
    schedule = Schedule(Shadow(calls=2, every=5))
    assert [number for number in range(1, 16) if schedule.due()] == [1, 2, 5, 10, 15]
    never = Schedule(Shadow(calls=1, every=None))
    assert [never.due() for _ in range(4)] == [True, False, False, False]


@pytest.mark.parametrize(
    "wrong", [{"calls": -1}, {"calls": 1.5}, {"every": 0}, {"every": True}, {"on_mismatch": "ignore"}], ids=str
)
def test_numbers_that_make_no_sense(wrong):
    with pytest.raises(SettingError, match=f"Shadow\\({next(iter(wrong))}="):
        Shadow(**wrong)


def test_what_verify_means():
    assert resolve_verify("shadow") == Shadow(3, 1000, "warn")
    assert resolve_verify(None) is None
    assert resolve_verify(Shadow(calls=1)).calls == 1
    with pytest.raises(SettingError, match="verify='shadows' was passed"):
        resolve_verify("shadows")
