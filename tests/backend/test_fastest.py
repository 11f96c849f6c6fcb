from __future__ import annotations

import time
from functools import partial

import pytest
import torch

from tessera.backend import fastest as module
from tessera.backend.fastest import fastest, seconds_of

CPU = torch.device("cpu")


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


def test_seconds_are_measured_once(monkeypatch):
    monkeypatch.setattr(module, "_is_crowded", lambda: False)
    found = seconds_of("a", {"slow": slow, "other": slow}, CPU)
    assert 0.005 <= found["slow"] < 0.1
    monkeypatch.setattr(module, "_timed", None)  # whoever measured again would fall over it
    assert seconds_of("a", {"slow": slow, "other": slow}, CPU) == found


def test_on_a_busy_machine_nothing_is_measured_nor_remembered(monkeypatch):
    runs = iter(range(1, 1000))
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    monkeypatch.setattr(module, "_timed", lambda ways, *_: {way: [next(runs) ** 2.0 for _ in "abc"] for way in ways})
    assert seconds_of("a", {"one": quick}, CPU) is None
    monkeypatch.setattr(module, "_timed", lambda ways, *_: {way: [2.0, 1.0, 1.01] for way in ways})
    assert seconds_of("a", {"one": quick}, CPU) == {"one": 1.0}


def test_rounds_in_which_others_wait_for_a_core_do_not_count(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.02)
    monkeypatch.setattr(module, "_is_crowded", lambda: True)
    assert seconds_of("a", {"one": quick}, CPU) is None
    assert fastest("a", {"slow": slow, "quick": quick}, "slow") == "quick"  # who cannot wait takes what there is
    monkeypatch.setattr(module, "_is_crowded", lambda: False)
    assert seconds_of("a", {"one": slow}, CPU)["one"] >= 0.005


@pytest.mark.parametrize(("told", "crowded"), [("3.1 2 1 9/90 7", True), ("9 9 9 1/90 7", False), ("?", False)])
def test_the_system_says_how_many_want_to_run(monkeypatch, told, crowded):
    monkeypatch.setattr(module.Path, "read_text", lambda *_, **__: told)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)
    assert module._is_crowded() is crowded


def test_what_there_is_no_memory_for_is_not_measured():
    def too_large():
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert seconds_of("a", {"one": quick, "other": too_large}, CPU) is None
