from __future__ import annotations

import dataclasses
import sys

import pytest
import torch

from benchmarks import optim
from benchmarks.measure import NotMeasured, Timing
from benchmarks.plan import Plan

SMALL = optim.Size(dim=8, layers=1)


@pytest.fixture
def small(monkeypatch):
    races = [dataclasses.replace(race, size=SMALL) for race in optim.races()]
    monkeypatch.setattr(optim, "races", lambda: races)
    return {race.name: race for race in races}


def test_adamw_is_about_fifty_million_parameters():
    (adamw,) = [race for race in optim.races() if race.name == "AdamW"]
    numbers = sum(rows * columns for rows, columns in adamw.size.shapes(vectors=False))
    assert 49e6 < numbers < 52e6


@pytest.mark.parametrize("name", ["AdamW", pytest.param("Muon", marks=pytest.mark.slow)])
def test_both_make_the_same_steps(small, name):
    race = small[name]
    shapes = race.size.shapes(vectors=race.vectors)
    ours = optim.in_program(Plan(), shapes, race.ours, 2)
    theirs = optim.alone(Plan(), shapes, race.peers[optim.EAGER], 2)
    assert (ours(), ours()) == pytest.approx((theirs(), theirs()), rel=1e-4)


def test_every_row_is_there(small, monkeypatch):
    monkeypatch.setattr(optim, "in_turns", lambda ways, plan, **_: dict.fromkeys(ways, Timing((1.0,), 2.0, 1.0)))
    rows = optim.measure(Plan()).rows
    assert [(row.work.split(",")[0], row.peer, row.target) for row in rows] == [
        ("AdamW", optim.FUSED, ">= 1x"),
        ("AdamW", optim.COMPILED, ">= 1x"),
        ("AdamW", optim.EAGER, ""),
        ("Lion", optim.PACKAGE, ">= 1x"),
        ("Muon", optim.EAGER, ">= 1x"),
        ("Muon", optim.COMPILED, ">= 1x"),
        ("SOAP", optim.PACKAGE, ">= 1x"),
    ]


def test_a_package_that_is_missing_is_a_reason(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(NotMeasured, match="^not installed$"):
        optim.alone(Plan(), SMALL.shapes(vectors=True), small["Lion"].peers[optim.PACKAGE], 2)


def test_every_repetition_of_soap_has_as_much_to_do():
    """Its basis is made anew in every tenth step; a mean over fewer would be of either kind."""
    (soap,) = [race for race in optim.races() if race.name == "SOAP"]
    optimizer = soap.ours([torch.nn.Parameter(torch.zeros(2, 2))])
    assert soap.steps % optimizer.param_groups[0]["precondition_frequency"] == 0
