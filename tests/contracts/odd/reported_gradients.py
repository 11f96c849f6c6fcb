"""What users of compilers reported of gradients and modes: own functions, hooks, autocast, no_grad, saved tensors."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

_CALLS = []


class _TwoSines(torch.autograd.Function):
    """The gradient of an output that nobody used is None."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.set_materialize_grads(False)
        return x.sin(), x.cos()

    @staticmethod
    def backward(ctx, first, second):
        (x,) = ctx.saved_tensors
        total = torch.zeros_like(x)
        if first is not None:
            total = total + first * x.cos()
        if second is not None:
            total = total - second * x.sin() * 10
        return total


class _InPlaceForward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        y = x.clone()
        y += 1
        y *= scale
        ctx.scale = scale
        return y

    @staticmethod
    def backward(ctx, slope):
        return slope * ctx.scale * 3, None


class _NoSlope(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return torch.sin(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, slope):
        return torch.zeros_like(slope)


class _Dirty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, slope):
        return slope * 5


def leaf():
    return grid().requires_grad_()


@odd
def unused_output_of_a_function(r):
    f = r.compile(lambda x: _TwoSines.apply(x)[0] * 2)
    g = r.compile(lambda x: sum(_TwoSines.apply(x)))
    f(leaf())
    g(leaf())
    f(leaf())


@odd
def function_that_writes_in_place(r):
    f = r.compile(lambda x, s: _InPlaceForward.apply(x, s) ** 2)
    f(leaf(), 2.0)
    f(leaf(), 3.0)


@odd
def own_slope_under_func_grad(r):
    f = r.compile(lambda x: torch.func.grad(lambda y: _NoSlope.apply(y).sum())(x) + x)
    f(grid())
    f(leaf())


@odd
def function_that_marks_dirty_as_reported(r):
    f = r.compile(lambda x: _Dirty.apply(x * 1.0).sum(0))
    f(leaf())
    f(leaf())


@odd
def inner_autocast_is_off(r):
    layer = nn.Linear(3, 3, bias=False)

    def f(x):
        with torch.autocast("cpu", enabled=False):
            return x.float() @ layer.weight.float().T

    f = r.compile(f)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        f(leaf())
    f(leaf())
    r.see(layer)


@odd
def autocast_that_is_chosen_outside(r):
    weight = torch.linspace(-1, 1, 9).reshape(3, 3)

    def f(x):
        return (x @ weight).dtype, x @ weight

    f = r.compile(f)
    f(grid())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        f(grid())
    with torch.autocast("cpu", dtype=torch.float16):
        f(grid())
    f(grid())


@odd
def gradient_hook_of_what_is_made_inside(r):
    seen = []

    def f(x):
        y = x * x

        def hook(slope):
            seen.append(tuple(slope.shape))
            return slope * 3.14

        y.register_hook(hook)
        return (y * x).sum()

    f = r.compile(f)
    f(leaf())
    f(leaf())
    r.see(seen)


@odd
def retained_gradient_inside(r):
    kept = {}

    def f(x):
        y = x.clone()
        y.retain_grad()
        kept["y"] = y
        return (y * 2).sum()

    f = r.compile(f)
    f(leaf())
    r.see(kept["y"].grad)
    f(leaf())
    r.see(kept["y"].retains_grad, kept["y"].is_leaf)


@odd
def saved_tensors_are_packed(r):
    packed = []

    def pack(tensor):
        packed.append(tuple(tensor.shape))
        return tensor.detach().numpy()

    def f(x, y):
        with torch.autograd.graph.saved_tensors_hooks(pack, torch.from_numpy):
            return (x * y).sin()

    f = r.compile(f)
    f(leaf(), leaf())
    f(leaf(), leaf())
    r.see(len(packed) > 0)


@odd
def no_grad_as_a_decorator(r):
    @torch.no_grad()
    def frozen(x):
        _CALLS.append(torch.is_grad_enabled())
        return x * 2

    def f(x):
        y = frozen(x)
        return x * 3 + y, torch.is_grad_enabled(), y.requires_grad

    _CALLS.clear()
    f = r.compile(f)
    f(leaf())
    with torch.no_grad():
        f(leaf())
    r.see(_CALLS)


@odd
def grad_mode_of_a_generator(r):
    def parts(x):
        with torch.no_grad():
            yield x * 2
        yield x * 3

    def f(x):
        first, second = parts(x)
        return first, second, torch.is_grad_enabled()

    f = r.compile(f)
    f(leaf())
    f(leaf())


@odd
def detached_half(r):
    def f(x, which):
        a, b = x.unbind()
        a = a.detach() if which else a
        return (a * b).sum() + x.data.sum()

    f = r.compile(f)
    f(leaf(), True)
    f(leaf(), False)


@odd
def requires_grad_is_switched(r):
    layer = nn.Linear(3, 2)

    def f(x):
        y = layer(x)
        return y, y.requires_grad, layer.weight.requires_grad

    f = r.compile(f)
    f(grid())
    layer.requires_grad_(False)
    f(grid())
    f(leaf())
    layer.bias.requires_grad_(True)
    f(grid())


@odd
def gradient_inside_the_function(r):
    def f(x):
        y = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad((y**3).sum(), y)
        return x - 0.1 * slope

    f = r.compile(f)
    f(grid())
    f(leaf())


@odd
def parameters_that_share(r):
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight

    def f(x):
        return second(first(x)), first.weight is second.weight

    f = r.compile(f)
    f(leaf())
    second.weight = nn.Parameter(torch.eye(3))
    f(leaf())
    first.weight = second.weight
    f(leaf())


@odd
def module_hooks_that_come_and_go(r):
    layer = nn.Linear(3, 3)
    counts = {"pre": 0, "post": 0}

    def before(module, args):
        counts["pre"] += 1
        return (args[0] * 2,)

    def after(module, args, output):
        counts["post"] += 1
        return output + 1

    f = r.compile(lambda x: layer(x))
    f(grid())
    first = layer.register_forward_pre_hook(before)
    f(grid())
    second = layer.register_forward_hook(after)
    f(grid())
    first.remove()
    f(grid())
    second.remove()
    f(grid())
    r.see(counts)


@odd
def grad_mode_is_set_inside(r):
    def f(x, on):
        before = torch.is_grad_enabled()
        with contextlib.ExitStack() as stack:
            if not on:
                stack.enter_context(torch.no_grad())
            y = x * 2
        return y, y.requires_grad, before

    f = r.compile(f)
    f(leaf(), True)
    f(leaf(), False)
    f(leaf(), True)
