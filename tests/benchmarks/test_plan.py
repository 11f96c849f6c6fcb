from __future__ import annotations

import time

import torch

from benchmarks.plan import Plan, on_stderr, silent


def test_a_quick_plan_never_has_more_rounds_than_a_full_one():
    assert Plan().rounds(11) == 11
    assert Plan(quick=True).rounds(11) == 3
    assert Plan(quick=True).rounds(2) == 2


def test_time_runs_out():
    assert Plan().left_s == float("inf")
    assert 0 < Plan(limit_s=1000.0).left_s <= 1000.0
    assert Plan(limit_s=10.0, started=time.perf_counter() - 11).left_s < 0


def test_a_cpu_is_not_waited_for():
    Plan(torch.device("cpu")).wait()


def test_progress_goes_to_stderr_with_the_time(capsys):
    on_stderr()("gpt")
    silent("nothing")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "[   0 s] gpt\n"
