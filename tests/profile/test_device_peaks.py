from __future__ import annotations

import json
import sys

import pytest
import torch

from tessera.profile.device_peaks import Peaks, device_peaks, measure_again
from tessera.program import CallRecord
from tessera.program.last_report import cache_folder

module = sys.modules[Peaks.__module__]
FILE = "device_peaks.json"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "_MEASURING_S", 0.01)


def test_they_are_measured_once_and_remembered(monkeypatch):
    first = device_peaks()
    assert first.bandwidth > 1e8
    assert first.flops["float32"] > 1e8
    monkeypatch.setattr(module, "peak_flops", None)  # whoever measured again would fall over it
    assert device_peaks() == first


def test_another_dtype_is_added():
    first = device_peaks()
    both = device_peaks(None, ("float32", "float64"))
    assert both.flops["float64"] > 0
    assert both.flops["float32"] == first.flops["float32"]
    assert device_peaks(None, ("float64",)) == both


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": {"flops": 3}}', '{"x": {"flops": {"a": "b"}, "bandwidth": 1}}'])
def test_a_file_that_is_none_is_measured_anew(text):
    cache_folder().mkdir(parents=True)
    (cache_folder() / FILE).write_text(text)
    peaks = device_peaks()
    assert peaks.bandwidth > 0
    assert peaks.device in json.loads((cache_folder() / FILE).read_text())


def test_the_roofline_is_the_slower_of_both():
    peaks = Peaks("x", {"float32": 100.0, "bfloat16": 400.0}, 10.0)
    assert peaks.least_seconds(20, 50, "float32") == 2.0
    assert peaks.least_seconds(1, 50, "float32") == 0.5
    assert peaks.least_seconds(1, 800, "bfloat16") == 2.0
    assert peaks.least_seconds(1, 50, "int64") == 0.5  # not known: as float32
    assert peaks.roofline_share(CallRecord("a", "kernel", 20, 50, "float32"), 4.0) == 0.5
    assert peaks.roofline_share(CallRecord("a", "kernel"), 4.0) is None
    assert Peaks("x").least_seconds(20, 50, "float32") == 0.0


def test_a_peak_that_was_surpassed_is_corrected():
    peaks = device_peaks()
    reached = 2 * peaks.flops["float32"]
    measure_again(peaks, "float32", reached)
    assert peaks.flops["float32"] >= reached
    assert device_peaks().flops == peaks.flops


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert device_peaks().bandwidth > 0


def test_its_own_count_agrees_with_a_clock():
    peaks = device_peaks()
    a = torch.ones(1 << 20)
    assert peaks.least_seconds(a.nbytes, 0, "float32") < 0.1
