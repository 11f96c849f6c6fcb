"""Conditionals that tensors decide, program by program, captured and run as captured: as in eager, or in pieces."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

import tessera
from tessera import torch_internals
from tessera.backend.mistraced import why_mistraced
from tessera.capture.dispatch import Dispatch
from tests.contracts.odd import (
    decisions_effects,  # noqa: F401 - each module puts its programs on the list
    decisions_forms,  # noqa: F401
    decisions_gradients,  # noqa: F401
    decisions_memory,  # noqa: F401
    decisions_names,  # noqa: F401
    decisions_surroundings,  # noqa: F401
)
from tests.contracts.odd.recorder import PROGRAMS, Recorder, differences, grid, record

# What an assertion raises in compiled code is made eager's further up, in `tessera.compile`.
NAMES = sorted(name for name in PROGRAMS if name.startswith("decides_") and name != "decides_assert")
FAST = (
    "decides_elif",
    "decides_early_returns",
    "decides_argument_written_afterwards",
    "decides_augmented",
    "decides_in_place_method",
    "decides_and_python",
    "decides_helper_replaced",
    "decides_gradient_of_one",
)


def call(function, args, named):
    return function(*args, **named)


def bind(function, args, named):
    return locals()


def as_captured(graph_module, inputs):
    if why_mistraced(graph_module):
        raise torch_internals.leave_alone()
    return graph_module.forward


def captured(function, backend=as_captured):
    """``function`` through a ``Dispatch`` that compiles nothing, and the ``Dispatch``."""
    dispatch = Dispatch(call, bind, backend, whole=False)
    return lambda *args, **named: dispatch(function, args, named), dispatch


class Captured(Recorder):
    """A recorder of what is captured; whole as long as nothing was broken up."""

    def __init__(self):
        super().__init__("compile", ours=False)
        self.dispatches = []

    def compile(self, function):
        through, dispatch = captured(function)
        self.dispatches.append(dispatch)
        return super().compile(through)

    @property
    def whole(self):
        return not any(dispatch.in_pieces for dispatch in self.dispatches)


def check(name):
    """Whether it stayed whole."""
    expected, found = record(name, Recorder("compile", ours=False)), record(name, Captured())
    assert not list(differences(expected.events, found.events))
    return found.whole


@pytest.mark.parametrize("name", FAST)
def test_is_as_eager(name):
    assert check(name) == (name not in IN_PIECES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_program_is_as_eager(name):
    assert check(name) == (name not in IN_PIECES)


def test_the_functions_are_what_they_were():
    def helper(x):
        return x * 2 if x.sum() > 0 else x - 1

    def f(x):
        if x.max() > 2:
            x = x + 1
        return helper(x)

    before = f.__code__, helper.__code__
    seen = []

    def backend(graph_module, inputs):
        seen.append((f.__code__, helper.__code__))
        return graph_module.forward

    compiled, dispatch = captured(f, backend)
    for sign in (1, -1, 0.1):
        assert torch.equal(compiled(sign * grid()), f(sign * grid()))
    assert not dispatch.in_pieces
    assert dispatch.misses == 1
    assert len(seen) == 1
    assert (f.__code__, helper.__code__) == before


def test_they_are_what_they_were_when_it_fails():
    def f(x):
        if x.max() > 2:
            x = x + 1
        torch._dynamo.graph_break()
        return x * 2

    before = f.__code__
    compiled, dispatch = captured(f)
    assert torch.equal(compiled(grid()), f(grid()))
    assert dispatch.in_pieces == 1
    assert f.__code__ is before


def test_what_failed_is_not_tried_for_ever():
    def f(x):
        if x.max() > 2:
            return x * 2, x
        return x * 3

    tried = []

    def backend(graph_module, inputs):
        tried.append(any("cond" in name for name, _ in graph_module.named_children()))
        return graph_module.forward

    compiled, dispatch = captured(f, backend)
    for dtype in (torch.float32, torch.float64, torch.int32, torch.int64, torch.float16):
        x = torch.ones(2, dtype=dtype)
        assert torch.equal(compiled(x), f(x))
    assert dispatch.in_pieces == 5
    assert not any(tried)
    assert not dispatch._branches.hopeful


def test_a_source_that_is_not_what_runs_is_not_used(tmp_path):
    file = tmp_path / "edited.py"
    file.write_text("def f(x):\n    if x.sum() > 0:\n        return x * 2\n    return x - 1\n")
    names = {}
    exec(compile(file.read_text(), file, "exec"), names)
    file.write_text(file.read_text().replace("x * 2", "x * 3"))
    compiled, dispatch = captured(names["f"])
    assert torch.equal(compiled(grid()), grid() * 2)
    assert dispatch.in_pieces == 1


def test_a_function_and_its_capture_go_when_nobody_has_them():
    def make():
        def f(x):
            return x * 2 if x.sum() > 0 else x - 1

        compiled, _ = captured(f)
        compiled(grid())
        return weakref.ref(f)

    gone = make()
    gc.collect()
    assert gone() is None


class Gate(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)

    def forward(self, x):
        h = self.first(x)
        if h.mean() > 0 and not h.max() > 5:
            h = torch.tanh(h)
            h = h * 2
        else:
            h = h * 0.5
        return self.second(h)


def test_compiled_it_is_one_graph_and_the_report_names_the_line():
    gate = Gate()
    compiled = tessera.compile(gate)
    for sign in (1, -1, 20):
        mine, theirs = (sign * grid()).requires_grad_(), (sign * grid()).requires_grad_()
        result, expected = compiled(mine), gate(theirs)
        torch.testing.assert_close(result, expected)
        slopes = torch.autograd.grad(result.sum(), [mine, *gate.parameters()])
        torch.testing.assert_close(slopes, torch.autograd.grad(expected.sum(), [theirs, *gate.parameters()]))
    assert compiled.report.rung == "one graph"
    told = [note for c in compiled.report.compilations for note in c.notes if "decided by a tensor" in note]
    assert "if h.mean() > 0 and not h.max() > 5:" in told[0]
    assert "test_attempt.py" in told[0]


def test_a_training_step_stays_whole():
    mine, theirs = Gate(), Gate()
    optimizers = [torch.optim.Adam(gate.parameters(), lr=0.05) for gate in (mine, theirs)]
    step = tessera.train_step(mine, "mse", optimizers[0])
    for sign in (1, -1, 20, -2, 1):
        x, target = sign * grid(), torch.ones(2, 2)
        loss = step(x, target)
        optimizers[1].zero_grad()
        expected = torch.nn.functional.mse_loss(theirs(x), target)
        expected.backward()
        optimizers[1].step()
        torch.testing.assert_close(loss, expected.detach())
    assert step.report.rung == "whole step in one Program", str(step.report)
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_a_layer_in_one_branch_keeps_its_gradient_none():
    class Own(Gate):
        def forward(self, x):
            h = self.first(x)
            return self.second(h) if h.sum() > 0 else h[:, :2] * 2

    own = Own()
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1, weight_decay=0.5)
    step = tessera.train_step(own, "mse", optimizer)
    taken = [sign for sign in (1, -1) if own.first(sign * grid()).sum() <= 0]
    assert taken
    before = own.second.weight.clone()
    step(taken[0] * grid(), torch.ones(2, 2))
    assert torch.equal(own.second.weight, before)  # no decay either
    assert step.report.rung != "whole step in one Program"


# What has more than computing in a branch, and what `torch.cond` does not take.
IN_PIECES = {
    "decides_append",
    "decides_append_further_in",
    "decides_argument_written_afterwards",
    "decides_argument_written_afterwards_by_its_name",
    "decides_attribute",
    "decides_augmented_alias",
    "decides_augmented_alias_inside",
    "decides_augmented_argument",
    "decides_augmented_with_a_view",
    "decides_batch_norm_in_branch",
    "decides_bool",
    "decides_bool_method",
    "decides_buffer_in_branch",
    "decides_checkpointed",
    "decides_complex",
    "decides_constant_in_one",
    "decides_defined_and_missing",
    "decides_defined_in_one_branch",
    "decides_detached_in_one",
    "decides_draws",
    "decides_dropout",
    "decides_dtypes_differ",
    "decides_entry",
    "decides_float",
    "decides_function_that_reads_later",
    "decides_generator",
    "decides_global",
    "decides_global_set",
    "decides_gradient_of_one",
    "decides_guarded_index",
    "decides_hooked",
    "decides_how_often",
    "decides_in_place_without_gradients",
    "decides_item",
    "decides_layer_in_one_branch",
    "decides_layouts_differ",
    "decides_local_list",
    "decides_locals",
    "decides_mapped",
    "decides_match",
    "decides_method",
    "decides_no_grad_in_branch",
    "decides_nonlocal_set",
    "decides_print",
    "decides_print_further_in",
    "decides_python_counter",
    "decides_python_draws",
    "decides_python_number",
    "decides_python_text",
    "decides_raise",
    "decides_result_and_source_returned",
    "decides_return_in_a_loop",
    "decides_return_of_none",
    "decides_return_of_number",
    "decides_return_of_other_structure",
    "decides_return_of_view_of_argument",
    "decides_second_gradient",
    "decides_shapes_differ",
    "decides_super_in_branch",
    "decides_transformed",
    "decides_try",
    "decides_unpacked",
    "decides_walrus_in_branch",
    "decides_what_is_kept",
    "decides_when_to_break",
}


@pytest.mark.parametrize("value", [1.0, 0.2, -1.0])
def test_the_gradient_of_two_conditions(value):
    """Inductor let the branch of one write over the gradient that the other one reads."""

    def function(x):
        def inner(a, k):
            if a.sum() > k:
                return a * 2
            return a - k

        return inner(x, 1.0) + inner(x * 2, 3.0)

    x, same = (torch.full((2, 3), value, requires_grad=True) for _ in range(2))
    compiled = tessera.compile(function)
    function(x).sum().backward()
    compiled(same).sum().backward()
    assert "one graph" in str(compiled.report)
    torch.testing.assert_close(same.grad, x.grad)
