from __future__ import annotations

import pytest
import torch

import tessera
import tessera.capture.emit as module
from tessera.capture.emit import captured, check_emitted, emit
from tessera.errors import ExportError, SettingError
from tessera.program import Role

X, Y = torch.randn(6, 4), torch.randint(0, 3, (6,))


def net() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))


def test_a_step_is_captured_and_nothing_is_changed():
    model = net()
    before = [p.clone() for p in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters())
    step = tessera.train_step(model, "cross_entropy", optimizer)
    program, values = captured(step, X, Y)
    assert len(values) == len(program.inputs)
    assert {Role.PARAMETER, Role.OPTIMIZER_STATE, Role.HYPER_PARAMETER} <= {value.role for value in program.inputs}
    assert all(v.shape == n.meta["val"].shape for v, n in zip(values, program.placeholders, strict=True))
    assert not optimizer.state
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))
    assert step(X, Y) > 0  # it works as ever afterwards
    assert step.report.rung == "whole step in one Program"


def test_the_program_is_the_step():
    model, other = net(), net()
    other.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    program, values = captured(tessera.train_step(model, "cross_entropy", optimizer, clip_norm=1.0), X, Y)
    program.graph_module(*values)  # it writes into the values, which are the parameters themselves
    reference = torch.optim.AdamW(other.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(other(X), Y).backward()
    torch.nn.utils.clip_grad_norm_(other.parameters(), 1.0)
    reference.step()
    for found, expected in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_module_and_a_function_without_gradients():
    model = net()
    program, values = captured(model, X)
    torch.testing.assert_close(program.graph_module(*values)[0], model(X).detach())
    program, values = captured(lambda a, *, by: a.sin() * by, X, by=3.0)
    torch.testing.assert_close(program.graph_module(*values)[0], X.sin() * 3)
    assert program.name.startswith("forward of ")


def printing(x):
    print("here")  # noqa: T201 - what stands in the way
    return x.sin()


@pytest.mark.parametrize(
    ("function", "reason"), [(printing, "cannot be captured whole"), (lambda x: 3, "nothing with")]
)
def test_what_is_no_program_is_an_error(function, reason):
    with pytest.raises(ExportError, match=reason):
        captured(function, X)


def test_an_unknown_target_is_seen_before_the_capture():
    with pytest.raises(SettingError):
        emit(printing, X, target="none")


def test_what_is_emitted_and_checked_is_what_was_captured(monkeypatch):
    model = net()
    step = tessera.train_step(model, "cross_entropy", torch.optim.SGD(model.parameters(), lr=0.1))
    seen = []
    monkeypatch.setattr(module, "emit_programs", lambda programs, target: [(programs[0].name, target)])
    monkeypatch.setattr(module, "check_program", lambda *given: seen.append(given) or 0.5)
    assert emit(step, X, Y, target="l4") == ("training step of Sequential", "l4")
    assert check_emitted(step, X, Y, target="l4") == 0.5
    ((program, values, target),) = seen
    assert (program.name, len(values), target) == ("training step of Sequential", len(program.inputs), "l4")
