from __future__ import annotations

import inspect
import sys

import torch

import tessera
from tessera.profile.eager_operations import EagerOperations

X = torch.randn(16, 8)


def here() -> int:
    return inspect.currentframe().f_back.f_lineno


def test_every_operation_belongs_to_its_line_also_in_the_backward():
    weight = torch.randn(8, 4, requires_grad=True)
    with EagerOperations() as watch:
        y, line = X @ weight, here()
        y.relu().sum().backward()
    forward = watch.found["aten.mm", f"{__file__}:{line}  y, line = X @ weight, here()", ""]
    assert (forward.calls, forward.flops, forward.dtype) == (1, 2 * 16 * 8 * 4, "float32")
    assert forward.num_bytes == 4 * (16 * 8 + 8 * 4 + 16 * 4)
    assert forward.seconds > 0
    (backward,) = [one for one in watch.found.values() if one.name == "aten.mm" and one.phase == "backward"]
    assert backward.where.line == line
    assert all(one.where and one.where.file == __file__ for one in watch.found.values())


def test_an_optimizer_is_the_update_of_the_line_that_steps():
    weight = torch.randn(3, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    weight.sum().backward()
    with EagerOperations() as watch:
        optimizer.step()
        line = here() - 1
    found = {(one.where.line, one.phase) for one in watch.found.values()}
    assert found == {(line, "update")}


def test_views_cost_nothing_and_integers_have_no_flops():
    with EagerOperations() as watch:
        torch.arange(4).view(2, 2).t()
    assert [(one.name, one.flops) for one in watch.found.values()] == [("aten.arange", 0)]


def test_results_are_those_without_it():
    expected = torch.nn.functional.gelu(X).sort(-1)[0]
    with EagerOperations():
        assert torch.equal(torch.nn.functional.gelu(X).sort(-1)[0], expected)
    assert not torch.is_anomaly_enabled()


def test_a_compilation_goes_on_and_is_not_counted():
    def double(x):
        return torch.tanh(x) * 2

    fast = tessera.compile(double)
    with EagerOperations() as watch:
        torch.testing.assert_close(fast(X), double(X))
    assert fast.report.rung == "one graph"
    assert {one.name for one in watch.found.values() if one.name == "aten.tanh"} == {"aten.tanh"}
    assert watch.found["aten.tanh", next(k[1] for k in watch.found if k[0] == "aten.tanh"), ""].calls == 1


def test_only_some_events_are_held(monkeypatch):
    monkeypatch.setattr(sys.modules[EagerOperations.__module__], "MOST_EVENTS", 3)
    with EagerOperations() as watch:
        for _ in range(10):
            X.exp()
    assert len(watch.events) == 3
    assert sum(one.calls for one in watch.found.values()) == 10
