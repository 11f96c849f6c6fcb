"""The report: what it computes, and that it says so when nothing was gained."""

from __future__ import annotations

import math

import pytest
import torch

from tessera.quantize.report import (
    LayerReport,
    QuantizationReport,
    Speed,
    decibels,
    disk_bytes,
    memory_bytes,
    relative_error,
)


def test_relative_error():
    exact = torch.tensor([3.0, 4.0])
    assert relative_error(exact, torch.tensor([3.0, 4.5])) == pytest.approx(0.1)
    assert relative_error(exact, exact) == 0
    assert relative_error(torch.tensor([float("nan"), 1.0]), torch.tensor([float("nan"), 1.0])) == 0
    assert relative_error(exact, torch.tensor([float("nan"), 4.0])) == math.inf
    assert relative_error(torch.zeros(2), exact) == math.inf


def test_decibels():
    assert decibels(0.01) == pytest.approx(40)
    assert decibels(0.0) == math.inf


def test_slower_is_said_in_words():
    slower = str(Speed(1.0, 2.0, 5, "eager"))
    assert "It is slower here than what it replaces, by 2.00x" in slower
    assert str(Speed(2.0, 1.0, 5, "eager")).endswith("2.00x as fast.")


def test_shared_weights_count_once():
    first, second = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert memory_bytes(torch.nn.Sequential(first, second)) == disk_bytes(torch.nn.Sequential(first, second)) == 64


def test_text_holds_what_was_measured():
    report = QuantizationReport([LayerReport("head", "int8 per channel", 0.01, "outputs", 4000, 1000, "a note")])
    report.left_alone, report.metric, report.memory_bytes = {"norm": "a rule"}, (0.9, 0.89), (4000, 1000)
    text = str(report)
    for part in ("40.0 dB", "a note", "norm (a rule)", "0.9 -> 0.89", "4.00x smaller", "speed: not measured"):
        assert part in text
