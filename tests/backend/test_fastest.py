from __future__ import annotations

import time
from functools import partial

import pytest

from tessera.backend import fastest as module
from tessera.backend.fastest import fastest


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def slow():
    time.sleep(0.005)


def quick():
    return None


def test_the_faster_one_is_taken():
    assert fastest("a", {"slow": slow, "quick": quick}, "slow") == "quick"
    assert fastest("b", {"slow": slow, "quick": quick}, "quick") == "quick"


def test_what_is_as_fast_changes_nothing():
    sleep = partial(time.sleep, 0.01)
    assert fastest("a", {"one": sleep, "other": sleep}, "other") == "other"


def test_it_is_measured_once(monkeypatch):
    assert fastest("a", {"slow": slow, "quick": quick}, "slow") == "quick"
    monkeypatch.setattr(module, "_measured", None)  # whoever measured again would fall over it
    assert fastest("a", {"slow": slow, "quick": quick}, "slow") == "quick"


def test_another_problem_other_threads_and_unknown_ways_are_measured_anew(monkeypatch):
    assert fastest("a", {"slow": slow, "quick": quick}, "slow") == "quick"
    assert fastest("a", {"slow": slow, "new": quick}, "slow") == "new"
    monkeypatch.setattr(module, "_machine", str)
    assert fastest("a", {"slow": quick, "quick": slow}, "quick") == "slow"
