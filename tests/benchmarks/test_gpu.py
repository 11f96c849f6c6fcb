from __future__ import annotations

import os

import pytest
import torch

from benchmarks import gpu


@pytest.fixture
def runs(monkeypatch):
    found = []
    monkeypatch.setattr(gpu, "run", lambda plan, chosen, families: found.append((plan, chosen, families)))
    monkeypatch.setattr(os, "environ", {})
    return found


def test_without_a_gpu_it_says_what_is_needed_and_ends_well(runs, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main([])
    printed = capsys.readouterr().out
    assert "no CUDA GPU" in printed
    assert "torch.cuda.is_available() must be True" in printed
    assert "python -m benchmarks\n" in printed
    assert runs == []


def test_with_a_gpu_it_measures_there_within_a_limit(runs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    gpu.main(["--quick", "--only", "gpt"])
    ((plan, chosen, families),) = runs
    assert (plan.device, plan.quick, chosen.only) == (torch.device("cuda", 0), True, ("gpt",))
    assert tuple(families) == ("gpt", "resnet", "xor")
    assert plan.limit_s <= 7 * 60
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_the_limit_can_be_chosen(runs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    gpu.main(["--limit", "60"])
    assert runs[0][0].limit_s == 60


def test_wrong_arguments_are_refused_with_or_without_a_gpu(runs, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--only", "bert"])
    assert "bert is not one of" in capsys.readouterr().err
