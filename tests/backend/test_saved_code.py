"""Compiled Programs as bytes and back."""

from __future__ import annotations

import json

import pytest
import torch

from tessera import torch_internals
from tessera.artefact.archive import Members
from tessera.backend import update_kernel
from tessera.backend.inductor import Executable, compile_program
from tessera.backend.portable_wrapper import CannotSave
from tessera.backend.rows import chunked
from tessera.backend.saved_code import load_executable, save_executable
from tessera.program import Compilation, MemoryBudget
from tests.backend.hand_made import program
from tests.capture.saved_steps import CASES


def again(executable):
    members = Members()
    saved = json.loads(json.dumps(save_executable(executable, members)))
    return load_executable(saved, members.content.__getitem__, Compilation("loaded")), saved


def compiled(function, *inputs):
    return compile_program(program(function, *inputs))


def test_a_program_that_is_one_c_call():
    x = torch.randn(3, 4)
    executable = compiled(lambda a: (torch.tanh(a) * 2, a.sum()), x)
    loaded, saved = again(executable)
    assert saved.keys() == {"native"}
    for other in (x, torch.randn(3, 4)):
        for found, expected in zip(loaded.call([other]), executable.call([other]), strict=True):
            assert torch.equal(found, expected)
    _, results = loaded.native.loop(2, [torch.stack([x, -x])], [0], None)
    assert torch.equal(results[0][1], executable.call([-x])[0])


def test_two_loaded_at_once_have_memory_of_their_own():
    x = torch.randn(40, 4)
    executable = compiled(lambda a: (torch.tanh(a - a.mean(0)).sum(1), (a * a).sum(0)), x)
    (first, _), (second, _) = again(executable), again(executable)
    results = first.call([x]), second.call([-x]), first.call([x])
    assert torch.equal(results[0][0], results[2][0])
    assert torch.equal(results[1][0], executable.call([-x])[0])


def test_a_wrapper_that_calls_a_library():
    x, y = torch.randn(64, 64), torch.randn(64, 64)
    executable = compiled(lambda a, b: (torch.relu(a @ b) + 1,), x, y)
    loaded, saved = again(executable)
    assert saved.keys() == {"wrapper"}
    assert torch.equal(loaded.call([x, y])[0], executable.call([x, y])[0])
    assert torch.is_grad_enabled()


def test_buffers_of_a_budget_lie_as_they_did():
    x = torch.randn(256, 256)
    made = program(lambda a: (torch.relu(a @ a) @ a,), x)
    made.memory_budget = MemoryBudget(share=1.0)
    executable = compile_program(made)
    loaded, _ = again(executable)
    assert loaded.call.layout == executable.call.layout
    assert executable.call.layout.extent >= x.nbytes
    for _ in range(3):
        assert torch.equal(loaded.call([x])[0], executable.call([x])[0])
    assert loaded.compilation.predicted_peak == executable.compilation.predicted_peak
    assert loaded.compilation.measured_peak is not None


@pytest.mark.parametrize(
    "constant",
    [torch.randn(3, 2).T, torch.tensor(2.5, dtype=torch.bfloat16), torch.ones(0, 3), torch.tensor([True, False])],
    ids=["transposed", "bfloat16", "empty", "bool"],
)
def test_constants_come_along(constant):
    output = torch_internals.InductorOutput(lambda _: (), "def call(args):\n    return (c,)", {"c": constant})
    loaded, _ = again(Executable(output.call, output, None, Compilation("x")))
    (found,) = loaded.call([])
    torch.testing.assert_close(found, constant, rtol=0, atol=0)
    assert found.stride() == constant.stride()


def test_what_the_wrapper_cannot_do_elsewhere():
    def call(args):
        return mine(args)  # noqa: F821

    source = "def call(args):\n    return mine(args)"
    output = torch_internals.InductorOutput(call, source, {"mine": print, "__name__": "x"})
    with pytest.raises(CannotSave, match="its code calls mine"):
        save_executable(Executable(call, output, None, Compilation("x")), Members())


@pytest.mark.slow
def test_kernels_that_are_not_there_yet_are_loaded(tmp_path, monkeypatch):
    case = CASES["updates in one kernel"]
    model, _, step = case.step()
    x, y = case.batch()
    step(x, y)
    step.save(tmp_path / "a")
    monkeypatch.setattr(update_kernel, "UPDATE_KERNELS", {})
    monkeypatch.setattr(chunked, "CHUNKED", {})
    model, _, step = case.loaded(tmp_path / "a")
    before = model.last.weight.clone()
    with pytest.raises(KeyError):
        torch.ops.tessera.update_many("unknown", [1], [x], [y])
    step(x, y)
    assert not torch.equal(before, model.last.weight)
