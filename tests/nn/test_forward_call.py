from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import torch
from torch.nn import Dropout, Linear, Sequential

from tessera.errors import LayerError, SourceLine, StalePredictionError
from tessera.nn.forward_call import CALLS_WAIT, ForwardCall, random_states, same_later, user_line

WHERE = SourceLine("model.py", 42)


def call(module, *args, **named):
    return ForwardCall(module, module.forward, args, named, WHERE)


def waiting(module, *args, **named):
    it = call(module, *args, **named)
    CALLS_WAIT.add(module)
    assert it.may_wait()
    it.wait()
    return it


@pytest.fixture
def x():
    return torch.randn(3, 4)


def test_at_once_it_is_the_forward(x):
    module = Linear(4, 2)
    now = call(module, x)
    result = now.run_now()
    assert torch.equal(result, module(x))
    assert now.run() is now.result is result
    assert not now.can_join_a_program()
    assert not now.sets_attributes


def test_it_says_that_the_forward_leaves_something_behind(x):
    class Leaves(Linear):
        def forward(self, x):
            self.last = x
            return super().forward(x)

    leaves = call(Sequential(Leaves(4, 2)), x)
    leaves.run_now()
    assert leaves.sets_attributes


def test_a_call_that_waits_runs_once_when_asked(x):
    module, calls = Linear(4, 2), []
    module.register_forward_hook(lambda *_: calls.append(1))
    it = ForwardCall(module, module, (x,), {}, WHERE)
    it.wait()
    assert it.can_join_a_program()
    assert calls == []
    assert it.run() is it.run()
    assert calls == [1]


def test_once_run_it_keeps_no_batch(x):
    module = torch.nn.ReLU()  # its backward keeps the result, not the input
    it = waiting(module, x.clone())
    batch = weakref.ref(it.args[0])
    it.run()
    gc.collect()
    assert batch() is None


def test_reading_it_makes_the_next_call_run_at_once(x):
    module = Linear(4, 2)
    waiting(module, x).run()
    assert not call(module, x).may_wait()


@pytest.mark.parametrize("case", ["no gradients", "inference mode", "autocast"])
def test_a_call_that_waits_runs_as_at_the_call(x, case):
    module = Linear(4, 2)
    it = waiting(module, x)
    modes = {
        "no gradients": torch.no_grad(),
        "inference mode": torch.inference_mode(),
        "autocast": torch.autocast("cpu", dtype=torch.bfloat16),
    }
    with modes[case]:
        result = it.run()
    assert result.requires_grad
    assert not result.is_inference()
    assert torch.equal(result, module(x))


STALE = (
    "A prediction of {name}, or its loss, is read for the first time after {change}. "
    "It is computed when it is first read, or by optimizer.step(loss), and has to be what it would have been at the "
    "call. Write prediction = model(x).read() to compute it at the call, or read it before the change.\n"
    "  at model.py:42"
)


def test_a_change_in_between_is_an_error(x):
    it = waiting(Linear(4, 2), x)
    with torch.no_grad():
        it.module.weight.mul_(2)
    for use in (it.run, it.can_join_a_program):
        with pytest.raises(StalePredictionError) as caught:
            use()
        assert str(caught.value) == STALE.format(name="Linear", change="'weight' was changed in place")


def test_random_numbers_are_drawn_in_their_order(x):
    module = Sequential(Linear(4, 40), Dropout(0.5))
    torch.manual_seed(5)
    expected, after = module(x), torch.rand(3)
    torch.manual_seed(5)
    it = waiting(module, x)
    assert it.can_join_a_program()
    assert torch.equal(it.run(), expected)
    assert torch.equal(torch.rand(3), after)


def test_random_numbers_out_of_turn_are_an_error(x):
    it = waiting(Sequential(Linear(4, 40), Dropout(0.5)), x)
    torch.rand(1)
    assert not it.can_join_a_program()
    with pytest.raises(StalePredictionError) as caught:
        it.run()
    assert str(caught.value) == STALE.format(
        name="Sequential", change="others drew random numbers, and it draws some too"
    )


def test_others_may_draw_when_the_forward_does_not(x):
    module = Linear(4, 2)
    it = waiting(module, x)
    torch.rand(1)
    assert not it.can_join_a_program()
    assert torch.equal(it.run(), module(x))


def test_an_error_in_the_forward_names_the_line_of_the_call():
    it = waiting(Linear(4, 2), torch.randn(3, 5))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        it.run()
    assert caught.value.__notes__ == ["The call of Linear that runs here was made at model.py:42."]


def test_another_kind_of_output_is_an_error(x):
    class Changing(Linear):
        def forward(self, x):
            return {"out": x}

    with pytest.raises(LayerError) as caught:
        waiting(Changing(4, 2), x).run()
    assert str(caught.value) == (
        "Changing returned a dict, but a tensor when it was called before. "
        "A call of a model in training may wait until its output is read, and what waits is a tensor. "
        "Write two models, or always return the same kind of output.\n  at model.py:42"
    )


class Sub(torch.Tensor):
    pass


def test_only_plain_tensors_can_wait(x):
    with torch.inference_mode():
        frozen = torch.ones(2)
    assert same_later([x, x])
    for value in (
        3,
        None,
        [x],
        {"x": x},
        x.clone().requires_grad_(),
        torch.nn.Parameter(x),
        frozen,
        x.as_subclass(Sub),
    ):
        assert not same_later([x, value])
    with torch.autocast("cpu"):
        assert not same_later([x])
    with torch.no_grad():
        assert not same_later([x])


def test_a_call_without_inputs_does_not_wait():
    module = Linear(4, 2)
    CALLS_WAIT.add(module)
    assert not call(module).may_wait()


def test_named_inputs_wait_too(x):
    module = torch.nn.Bilinear(4, 4, 2)
    it = waiting(module, x, input2=x)
    with torch.no_grad():
        expected = module(x, x)
    assert torch.allclose(it.run(), expected)


def test_random_states_tell_whether_something_was_drawn():
    before = random_states([])
    assert before == random_states([])
    torch.rand(1)
    assert before != random_states([])


def here():
    return user_line()


def test_the_users_line_is_known():
    line = here()
    assert line.file == __file__
    assert "line = here()" in Path(__file__).read_text().splitlines()[line.line - 1]


class Calls(torch.nn.Module):
    def forward(self, x):
        self.line = here()
        return x


def test_below_torch_there_is_no_users_line(x):
    calls = Calls()
    for run in (
        lambda: calls(x),
        lambda: torch.nn.Sequential(calls)(x),
        lambda: torch.vmap(calls.forward)(x),
        lambda: torch.utils.checkpoint.checkpoint(calls.forward, x, use_reentrant=False),
        lambda: torch.func.functional_call(calls, {}, x),
    ):
        calls.line = "not called"
        run()
        assert calls.line is None


def test_a_decorator_of_torch_is_no_obstacle():
    assert torch.enable_grad()(here)() is not None
