from __future__ import annotations

import datetime as dt
import re
from importlib import metadata

import torch

import tessera
from benchmarks import machine


def test_it_says_machine_versions_and_date():
    found = machine.describe(torch.device("cpu"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", found["date"])
    assert f"tessera {tessera.__version__}" in found["versions"]
    assert f"torch {torch.__version__}" in found["versions"]
    assert f"PyTorch and Tessera {torch.get_num_threads()}" in found["threads"]
    assert "cores" in found["machine"]
    assert "device" not in found
    assert re.fullmatch(r"\d+\.\d", machine.load())


def test_what_is_not_installed_is_said(monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(machine.metadata, "version", version)
    monkeypatch.setattr(machine.shutil, "which", lambda program: None)
    found = machine.describe(torch.device("cpu"))
    assert "jax not installed" in found["versions"]
    assert found["compiler"] == "not installed"


def test_the_file_is_named_after_day_and_device(monkeypatch):
    monkeypatch.setattr(machine, "_processor", lambda: "AMD EPYC (9R14)")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    assert machine.file_name(torch.device("cpu"), dt.date(2026, 1, 2)) == "2026-01-02-2-cores-amd-epyc-9r14.txt"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert machine.file_name(torch.device("cuda", 0), dt.date(2026, 1, 2)) == "2026-01-02-nvidia-h200.txt"
