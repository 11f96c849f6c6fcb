from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tessera import torch_internals
from tessera.backend.checked import Verification, check
from tessera.debug.shadow import Shadow
from tessera.errors import MismatchError
from tessera.program import Compilation, Precision, Report
from tests.backend.test_evaluation import W, X, job, program


def executable(call, shadow):
    """Stands in for a compiled Program: ``call`` is what was compiled."""
    report = Report("job")
    made = SimpleNamespace(call=call, original=program(job, X, W), compilation=Compilation("job"))
    check(made, Verification(shadow, report, (), Precision()))
    return made, report


def right(inputs):
    x, w = inputs
    inputs.clear()
    w.copy_(w + x / 3)
    return [(x / 3) @ w]


def wrong(inputs):
    x, w = inputs
    inputs.clear()
    w.copy_(w - x / 3)
    return [(x / 3) @ w]


def test_what_agrees_is_returned_as_it_was_compiled():
    made, report = executable(right, Shadow(calls=2, every=None))
    w = W.clone()
    for _ in range(3):
        (y,) = made.call([X, w])
    assert torch.equal(w, W + X / 3 + X / 3 + X / 3)
    assert torch.equal(y, (X / 3) @ w)
    assert report.mismatches == []


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(torch_internals, "compile_with_inductor", None)


def test_what_does_not_agree_warns_once_and_is_replaced_from_then_on():
    made, report = executable(wrong, Shadow(calls=1, every=None))
    w = W.clone()
    with pytest.warns(RuntimeWarning, match="compiled and plain results disagree") as warned:
        (y,) = made.call([X, w])
    assert torch.equal(w, W + X / 3)
    torch.testing.assert_close(y, (X / 3) @ w)
    made.call([X, w])
    assert torch.equal(w, W + X / 3 + X / 3)
    assert len(report.mismatches) == sum(w.category is RuntimeWarning for w in warned) == 1
    assert "compiled and plain results of job disagree" in str(report)


def test_it_may_raise_and_then_nothing_was_changed():
    made, report = executable(wrong, Shadow(on_mismatch="raise"))
    w, random = W.clone(), torch.get_rng_state()
    with pytest.raises(MismatchError, match="compiled and plain results disagree"):
        made.call([X, w])
    assert torch.equal(w, W)
    assert torch.equal(random, torch.get_rng_state())
    assert len(report.mismatches) == 1


def test_what_cannot_be_run_one_by_one_is_told_and_not_verified():
    made, report = executable(right, Shadow())
    made.call([X, W.clone()])

    def broken(*_):
        raise NotImplementedError("no such kernel")

    node = next(iter(made.call._original.graph.find_nodes(op="call_function", target=torch.ops.aten.mm.default)))
    node.target = broken
    made.call([X, W.clone()])
    assert made.compilation.notes == ["not verified: NotImplementedError: no such kernel"]
    assert report.mismatches == []
