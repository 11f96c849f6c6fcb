from __future__ import annotations

import math

import torch

import tessera
from benchmarks import declared
from benchmarks.measure import Timing
from benchmarks.plan import Plan


def test_the_deep_model_is_right_and_as_deep_as_it_says(tmp_path):
    scope: dict = {"__name__": "deep"}
    exec(declared.DEEP.replace(f"depth={declared.BLOCKS}", "depth=2"), scope)
    assert scope["Deep"]()(torch.zeros(2, 5, dtype=torch.long)).shape == (2, 5, 100)
    assert f"depth={declared.BLOCKS}" in declared.DEEP


def test_a_call_computes_the_same_with_declared_dims_and_without():
    for maker in (tessera.compile, tessera.function):
        assert declared.calls(maker, declared.annotated, 2, 3)() == 8.0
        with_dims, without = (declared.calls(maker, one, 16, 3)() for one in (declared.layer, declared.plain_layer))
        assert with_dims == without


def test_sizes_that_were_declared_are_compiled_once():
    assert declared.compilations(5) == 1


def test_a_wrong_answer_is_no_success(monkeypatch):
    monkeypatch.setattr(declared.tessera, "compile", lambda function: lambda x, weight: function(x, weight) + 1)
    assert declared.compilations(5) == math.inf


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(declared, "in_turns", lambda ways, plan, **_: dict.fromkeys(ways, Timing((20.0,), 8.0, 1.0)))
    monkeypatch.setattr(declared, "compilations", lambda count: 2)
    rows = declared.measure(Plan()).rows
    assert [(row.target, row.met) for row in rows] == [("<= 10", False), *[("<= 1.05x", True)] * 4, ("<= 1", False)]
