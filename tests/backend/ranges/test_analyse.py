"""From hazards to findings."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F

import tessera
from tessera.backend.ranges import analyse
from tests.backend.ranges.asking import X, kinds


def test_a_line_has_one_finding_of_a_kind():
    assert kinds(lambda x: x.sigmoid().log() + x.softmax(-1).log() + x.relu().log(), X) == ["domain"]


def test_what_torch_wrote_is_not_the_users():
    def f(x):
        q = torch.distributions.Normal(x, x.relu(), validate_args=False)
        return q.log_prob(x) + F.gaussian_nll_loss(x, x, x.relu())

    assert kinds(f, X) == []


def test_a_check_that_fails_is_left_out(monkeypatch):
    def broken(subject):
        raise RuntimeError

    monkeypatch.setattr(analyse, "CHECKS", (broken, *analyse.CHECKS))
    assert kinds(lambda x: x.relu().log(), X) == ["domain"]
    monkeypatch.setattr(analyse, "interpret", broken)
    assert kinds(lambda x: x.relu().log(), X) == []


def test_the_findings_stand_in_the_order_of_the_program():
    def f(x):
        a = x / x.norm()
        b = x.relu().log()
        return torch.exp(a * 500) + b

    found = tessera.check_numerics(f, X)
    assert [finding.where.line for finding in found] == sorted(finding.where.line for finding in found)
    assert [str(finding.kind) for finding in found] == ["division by zero", "domain", "overflow"]


def seconds(layers):
    def f(x):
        for _ in range(layers):
            x = x + F.layer_norm(F.gelu(x @ x.T) @ x, (8,)) / (x.norm() + 1)
        return x

    from tessera.backend.ranges.trace import trace_forward

    traced = trace_forward(f, (X,), {}, {})
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        analyse.findings_of(traced.graph, traced.given, traced.attribute)
        best = min(best, time.perf_counter() - started)
    return best


def test_its_time_grows_with_the_graph_and_not_faster():
    assert seconds(80) < 16 * seconds(20)  # 4 times as many operations; 16 would be quadratic
