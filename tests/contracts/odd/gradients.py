"""Gradients: modes that change, hooks, Functions, backward inside, errors of autograd."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.contracts.odd.recorder import grid, odd


def leaf(sign=1.0):
    return grid(sign).requires_grad_()


@odd
def no_grad_and_enable_grad_inside(r):
    def f(x):
        with torch.no_grad():
            a = x * 2
            with torch.enable_grad():
                b = x * 3
        return a, b, a.requires_grad, b.requires_grad, torch.is_grad_enabled()

    f = r.compile(f)
    f(leaf())
    f(grid())
    with torch.no_grad():
        f(leaf())


@odd
def inference_mode_inside(r):
    def f(x):
        with torch.inference_mode():
            y = x * 2
        return y, y.is_inference()

    f = r.compile(f)
    f(leaf())
    f(grid())


@odd
def inference_mode_outside(r):
    f = r.compile(lambda x: (x * 2, x.view(-1), torch.is_inference_mode_enabled()))
    with torch.inference_mode():
        y = f(grid())
        f(torch.ones(3))
    r.see(type(y).__name__)
    f(leaf())


@odd
def inference_tensor_given(r):
    with torch.inference_mode():
        x = grid()
    f = r.compile(lambda x: x * 2)
    f(x)
    g = r.compile(lambda x: x.add_(1))
    g(x)


@odd
def grad_mode_left_off(r):
    def f(x):
        torch.set_grad_enabled(False)
        return x * 2

    f = r.compile(f)
    f(leaf())
    r.see(torch.is_grad_enabled())
    f(leaf())
    torch.set_grad_enabled(True)
    f(leaf())
    r.see(torch.is_grad_enabled())


@odd
def grad_mode_as_decorator(r):
    @torch.no_grad()
    def inner(x):
        return x * 2

    @torch.enable_grad()
    def outer(x):
        return inner(x) + x

    f = r.compile(outer)
    f(leaf())
    with torch.no_grad():
        f(leaf())


@odd
def grad_mode_changes_between_calls(r):
    f = r.compile(lambda x: x.sin() * 2)
    for on in (True, False, True, False):
        with torch.set_grad_enabled(on):
            f(leaf())


@odd
def requires_grad_changes_between_calls(r):
    f = r.compile(lambda x, w: x * w)
    w = torch.ones(3)
    for on in (False, True, False):
        w.requires_grad_(on)
        f(grid(), w)
        f(leaf(), w)


@odd
def requires_grad_inside(r):
    def f(x):
        y = x.detach().requires_grad_()
        z = (y**2).sum()
        (g,) = torch.autograd.grad(z, y)
        return g, z

    f = r.compile(f)
    f(grid())
    f(leaf())


@odd
def backward_inside(r):
    w = torch.ones(3, requires_grad=True)

    def f(x):
        loss = (x * w).sum()
        loss.backward()
        return loss.detach()

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(w.grad)


@odd
def double_backward_inside(r):
    def f(x):
        y = x.detach().clone().requires_grad_()
        (g,) = torch.autograd.grad(y.pow(3).sum(), y, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), y)
        return g.detach(), h

    f = r.compile(f)
    f(grid())
    f(grid(2))


@odd
def double_backward_outside(r):
    f = r.compile(lambda x: (x**3).sum())
    x = leaf()
    y = f(x)
    if y.requires_grad:
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x)
        r.see(g, h)


@odd
def backward_twice(r):
    f = r.compile(lambda x: x.exp().sum())
    x = leaf()
    y = f(x)
    if y.requires_grad:
        y = x.exp().sum() if r.way == "step" else y
    r.see(x.grad)


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.k = k
        ctx.save_for_backward(x)
        return x * k

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * ctx.k * 10 + 0 * x, None


@odd
def custom_function(r):
    f = r.compile(lambda x, k: Scaled.apply(x, k).sin())
    f(leaf(), 2.0)
    f(leaf(), 3.0)
    f(leaf(), 3)


class Loud(torch.autograd.Function):
    seen = []

    @staticmethod
    def forward(ctx, x):
        Loud.seen.append("forward")
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        Loud.seen.append("backward")
        return g * 2


@odd
def custom_function_with_effects(r):
    Loud.seen = []
    f = r.compile(lambda x: Loud.apply(x) * 3)
    for _ in range(3):
        f(leaf())
        r.see(Loud.seen)


class Branching(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.positive = bool(x.sum() > 0)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g if ctx.positive else -g


@odd
def custom_function_that_branches(r):
    f = r.compile(lambda x: Branching.apply(x))
    for s in (1, -1, 1):
        f(leaf(s))


class Dirty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.add_(1)

    @staticmethod
    def backward(ctx, g):
        return g * 3


@odd
def custom_function_that_writes(r):
    f = r.compile(lambda x: Dirty.apply(x * 1))
    f(leaf())
    f(leaf())


@odd
def hook_on_a_tensor(r):
    seen = []

    def f(x):
        y = x * 2
        y.register_hook(lambda g: seen.append(g.sum().item()) or g * 5)
        return y.sin()

    f = r.compile(f)
    for _ in range(2):
        f(leaf())
        r.see(seen)


@odd
def hook_on_an_input(r):
    f = r.compile(lambda x: x.sin())
    x = leaf()
    f(x)
    handle = x.register_hook(lambda g: g * 100)
    f(x)
    handle.remove()
    f(x)


@odd
def saved_tensors_hooks(r):
    log = []

    def pack(t):
        log.append("pack")
        return t

    def unpack(t):
        log.append("unpack")
        return t

    f = r.compile(lambda x: (x.exp() * x).sum())
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        f(leaf())
    r.see(bool(log))


@odd
def detach_and_stop(r):
    f = r.compile(lambda x: (x.detach() * x, x.detach().sin(), (x * 2).detach_()))
    f(leaf())
    f(grid())


@odd
def write_to_a_leaf(r):
    f = r.compile(lambda x: x.add_(1))
    f(leaf())
    with torch.no_grad():
        f(leaf())


@odd
def write_after_use(r):
    def f(x):
        y = x.exp()
        z = y * 2
        y.add_(1)
        return (z, y.sum())

    f = r.compile(f)
    f(leaf())


@odd
def write_that_breaks_backward(r):
    def f(x):
        y = x.sigmoid()
        z = y.sum()
        y.mul_(2)
        return z

    f = r.compile(f)
    f(leaf())
    f(grid())


@odd
def saved_input_written_later(r):
    f = r.compile(lambda x: (x * x).sum())
    x = leaf()
    f(x)
    with torch.no_grad():
        x.add_(1)
    f(x)


@odd
def retain_grad_inside(r):
    kept = []

    def f(x):
        y = x * 2
        y.retain_grad()
        kept.append(y)
        return (y * 3).sum()

    f = r.compile(f)
    y = f(leaf())
    if y.requires_grad:
        y.backward()
    r.see(kept[-1].grad)


@odd
def grad_is_none_or_zero(r):
    f = r.compile(lambda x, y: (x * 0).sum() + (y.detach() * 2).sum())
    f(leaf(), leaf())


@odd
def unused_input_with_gradient(r):
    f = r.compile(lambda x, y: x * 2)
    f(leaf(), leaf())


@odd
def integer_beside_gradient(r):
    f = r.compile(lambda x: (x.argmax(), x.long(), x > 2, x.max(0)))
    f(leaf())


@odd
def gradient_of_a_where(r):
    f = r.compile(lambda x: torch.where(x > 3, x.log(), x * 0) + x.clamp(2, 4) + x.abs().sqrt())
    f(leaf())
    f(leaf(-1))
    f(leaf(0.0))


@odd
def func_grad_inside(r):
    f = r.compile(lambda x: torch.func.grad(lambda y: (y.sin() * x).sum())(x))
    f(grid())
    f(leaf())


@odd
def func_vmap_jacrev_inside(r):
    def f(x):
        return torch.func.vmap(lambda row: row * row.sum())(x), torch.func.jacrev(lambda y: y.sin())(x[0])

    f = r.compile(f)
    f(grid())
    f(torch.ones(4, 2))


@odd
def func_hessian_jvp_inside(r):
    def f(x):
        value, tangent = torch.func.jvp(lambda y: y.exp(), (x,), (torch.ones_like(x),))
        return torch.func.hessian(lambda y: (y**3).sum())(x[0]), value, tangent

    f = r.compile(f)
    f(grid())


@odd
def func_functional_call(r):
    net = torch.nn.Linear(3, 2)
    weights = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    f = r.compile(lambda x, w: torch.func.functional_call(net, w, (x,)))
    f(grid(), weights)
    f(grid(), {**weights, "bias": torch.ones(2)})


@odd
def autocast_inside(r):
    def f(x, w):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = x @ w
        return y, y.float() + x @ w

    f = r.compile(f)
    f(leaf(), torch.ones(3, 3))
    f(grid(), torch.ones(3, 3))


@odd
def autocast_outside_changes(r):
    f = r.compile(lambda x, w: x @ w)
    f(grid(), torch.ones(3, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        f(grid(), torch.ones(3, 3))
    f(grid(), torch.ones(3, 3))


@odd
def default_dtype_changes(r):
    f = r.compile(lambda x: (torch.zeros(2) + 1.5, torch.tensor(1.0), x * torch.ones(3), torch.arange(3) / 2))
    f(grid())
    torch.set_default_dtype(torch.float64)
    f(grid())
    torch.set_default_dtype(torch.float32)
    f(grid())


@odd
def default_dtype_changed_inside(r):
    def f(x):
        torch.set_default_dtype(torch.float64)
        y = torch.ones(2)
        torch.set_default_dtype(torch.float32)
        return y, torch.ones(2), x * 2

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def deterministic_algorithms_toggled(r):
    f = r.compile(lambda x: (x * 2, torch.are_deterministic_algorithms_enabled()))
    f(grid())
    torch.use_deterministic_algorithms(True)
    f(grid())
    torch.use_deterministic_algorithms(False)
    f(grid())


@odd
def anomaly_mode(r):
    f = r.compile(lambda x: x.exp())
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        f(leaf())


@odd
def checkpoint_inside(r):
    from torch.utils.checkpoint import checkpoint

    calls = []

    def block(y):
        calls.append(1)
        return F.dropout(y.sin(), 0.5)

    f = r.compile(lambda x: checkpoint(block, x, use_reentrant=False) * 2)
    for _ in range(2):
        f(leaf())
        r.see(len(calls) > 0)


@odd
def gradient_enabled_is_read(r):
    def f(x):
        return x * 2 if torch.is_grad_enabled() and x.requires_grad else x * 3

    f = r.compile(f)
    f(leaf())
    f(grid())
    with torch.no_grad():
        f(leaf())


@odd
def is_leaf_and_grad_fn(r):
    def f(x):
        y = x * 2
        return x.is_leaf, y.is_leaf, y.grad_fn is None, x.grad_fn is None, y.requires_grad

    f = r.compile(f)
    f(leaf())
    f(grid())
    f(leaf() * 2)
