"""Memory, kinds, hooks, parameters, modes and derivatives of tensors."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


def fill(module, value=0.2):
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(torch.linspace(-value, value + i * 0.1, p.numel()).reshape(p.shape))
    return module


@odd
def views_written_in_turn(r):
    def f(x, i):
        row, col = x[i], x[:, i]
        row.add_(1)
        flat = x.view(-1)
        flat[::2] = flat[::2] * 2
        col.neg_()
        y = x.t()
        y[0].copy_(y[1].clone())
        x.transpose_(0, 1)
        return row, col.sum(), flat, y.is_contiguous(), x.shape

    g = r.compile(f)
    a = grid()
    g(a, 0)
    r.see(a)
    g(a[:2], 1)
    r.see(a, a.stride())
    b = torch.arange(12.0).reshape(3, 4)
    g(b[::2, 1:], 1)
    r.see(b)


@odd
def inputs_that_overlap(r):
    def f(a, b, c):
        a.mul_(2)
        s = b.sum()
        b[0] += 1
        return a + s, c.clone(), b is a, c.data_ptr() == a.data_ptr()

    g = r.compile(f)
    base = torch.arange(8.0)
    g(base[:4], base[2:6], base[4:])
    r.see(base)
    g(base[:4], base[:4], base[:4])
    r.see(base)
    t = base[4:]
    g(t, t, t)
    r.see(base)
    g(torch.ones(4), torch.ones(4), torch.ones(4))
    g(base[:4], base[4:], base[::2])
    r.see(base)


@odd
def out_arguments_of_callers(r):
    buf = torch.empty(2, 3)
    odd_shape = torch.empty(0)

    def f(x, out):
        y = torch.add(x, 1, out=out)
        torch.mul(y, 2, out=buf)
        torch.exp(x, out=odd_shape)
        return y is out, y.sum(), buf[0], odd_shape.shape

    g = r.compile(f)
    o = torch.zeros(2, 3)
    g(grid(), o)
    r.see(o, buf, odd_shape)
    g(grid(), torch.zeros(2, 3, dtype=torch.float64))
    g(grid(), torch.zeros(3, 2).t())
    g(grid(), torch.zeros(2, 3, dtype=torch.int32))
    g(grid(), buf)
    r.see(buf)


class _Unit(torch.Tensor):
    unit = "m"

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        out = super().__torch_function__(func, types, args, kwargs or {})
        units = [a.unit for a in args if isinstance(a, _Unit)]
        if isinstance(out, _Unit) and units:
            out.unit = "*".join(units) if func in (torch.mul, torch.Tensor.mul) else units[0]
        return out


@odd
def subclass_with_units(r):
    def f(a, b):
        c = torch.mul(a, b)
        d = c + 1
        return (
            c,
            getattr(c, "unit", None),
            getattr(d, "unit", None),
            type(d.sum()).__name__,
            d.as_subclass(torch.Tensor),
        )

    g = r.compile(f)
    a, b = grid().as_subclass(_Unit), grid(2.0).as_subclass(_Unit)
    b.unit = "s"
    g(a, b)
    g(a, grid())
    g(grid(), 2)
    b.unit = "kg"
    g(b, b)


class _Wrapped:
    def __init__(self, t, log):
        self.t, self.log = t, log

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        log = next(a.log for a in args if isinstance(a, cls))
        log.append(getattr(func, "__name__", str(func)))
        plain = [a.t if isinstance(a, cls) else a for a in args]
        out = func(*plain, **(kwargs or {}))
        return cls(out, log) if isinstance(out, torch.Tensor) and out.ndim else out


@odd
def object_with_torch_function_once_more(r):
    log = []

    def f(x, w):
        y = torch.add(w, x)
        z = torch.sum(y)
        return z, torch.where(x > 2, x, 0.0), torch.stack([x, x]).sum(), type(y).__name__

    g = r.compile(f)
    g(grid(), _Wrapped(grid(), log))
    r.see(log)
    g(grid(), grid())
    g(grid(), _Wrapped(torch.ones(3), log))
    r.see(log)


@odd
def hooks_on_what_is_between(r):
    log = []

    def f(x, k):
        y = x * k
        if y.requires_grad:
            y.register_hook(lambda g: log.append(g.sum().item()) or g * 2)
            y.retain_grad()
        z = (y**2).sum()
        return z, y

    g = r.compile(f)
    a = grid().requires_grad_()
    g(a, 2.0)
    r.see(log)
    g(grid(), 2.0)
    h = a.register_hook(lambda g: g.clamp(max=1.0))
    g(a, 3.0)
    h.remove()
    g(a, 3.0)
    r.see(log)


@odd
def forward_hooks_that_edit(r):
    net = nn.Sequential(fill(nn.Linear(3, 3)), nn.Sigmoid(), fill(nn.Linear(3, 2)))
    seen = {}

    def capture(name):
        def hook(m, args, out):
            seen[name] = out.detach()
            if name == "1" and len(seen) > 1:
                return out + args[0].mean()
            return None

        return hook

    handles = [m.register_forward_hook(capture(n)) for n, m in net.named_children()]
    g = r.compile(net)
    g(grid())
    r.see(seen)
    g(grid(0.5))
    handles[1].remove()
    g(grid())
    net[1] = nn.Tanh()
    g(grid())
    net.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    seen.clear()
    g(grid())
    r.see(seen)


@odd
def parameters_swapped_back(r):
    net = fill(nn.Linear(3, 2))
    g = r.compile(net)
    first = net.weight
    g(grid())
    if r.way != "step":
        net.weight = nn.Parameter(first.detach() * 3)
        g(grid())
        net.weight = first
        g(grid())
        first.data = first.data + 1
        g(grid())
        with torch.no_grad():
            first.set_(torch.full((2, 3), 0.5))
        g(grid())
        net.bias = None
        g(grid())
        net.bias = nn.Parameter(torch.ones(2))
        g(grid())
        net.requires_grad_(False)
        g(grid())
    net.weight.requires_grad_(True)
    g(grid())
    r.see(net, net.weight is first, [p.requires_grad for p in net.parameters()])


@odd
def modes_entered_by_value(r):
    def f(x, mode):
        ctx = {"no": torch.no_grad, "inf": torch.inference_mode, "on": torch.enable_grad}.get(
            mode, contextlib.nullcontext
        )
        with ctx():
            y = x * 2
            a = (torch.is_grad_enabled(), y.requires_grad)
        z = y + 1
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "amp"):
            m = z @ x.t()
        return z, m, m.dtype, a

    g = r.compile(f)
    x = grid().requires_grad_()
    for mode in ("on", "no", "amp", None, "no"):
        g(x, mode)
        g(x.detach(), mode)
    with torch.no_grad():
        g(x, "on")
        g(x, None)


@odd
def randomness_in_odd_places(r):
    gen = torch.Generator().manual_seed(3)

    def f(x, n):
        a = [random.random() for _ in range(n)]
        b = np.random.permutation(4)
        c = torch.rand(2, 3, generator=gen) if n > 1 else torch.randn_like(x)
        if torch.rand(()) > 0.5:
            x = x * torch.bernoulli(torch.full((2, 3), 0.5))
        idx = torch.randperm(3)
        d = random.choice(["p", "q"])
        return x[:, idx] + c, a, b, d, torch.multinomial(torch.ones(4), 2), nn.functional.dropout(x, 0.3)

    g = r.compile(f)
    for n in (0, 1, 2, 2, 1):
        g(grid(), n)
    r.see(gen.get_state().sum())


class _Clip(torch.autograd.Function):
    log: list = []

    @staticmethod
    def forward(ctx, x, lo, hi):
        ctx.save_for_backward(x)
        ctx.lo, ctx.hi = lo, hi
        ctx.set_materialize_grads(False)
        return x.clamp(lo, hi), (x > hi).sum()

    @staticmethod
    def backward(ctx, g, _):
        (x,) = ctx.saved_tensors
        _Clip.log.append((ctx.lo, g is not None))
        return (g * ((x > ctx.lo) & (x < ctx.hi)) if g is not None else None), None, None


@odd
def custom_function_with_a_log(r):
    _Clip.log.clear()

    def f(x, lo, hi):
        y, n = _Clip.apply(x, lo, hi)
        return y * 2, n

    g = r.compile(f)
    a = grid().requires_grad_()
    g(a, 1.5, 4.5)
    g(a, 2, 3)
    g(grid(), 0.0, 1.0)
    r.see(_Clip.log)
    old = _Clip.backward
    _Clip.backward = staticmethod(lambda ctx, g, _: (g * 100, None, None))
    g(a, 1.5, 4.5)
    _Clip.backward = old


@odd
def functional_transforms_inside(r):
    counter = {"n": 0}

    def loss(w, x):
        counter["n"] += 1
        return ((x * w).sum() ** 2).mean()

    def f(w, x):
        grad, value = torch.func.grad_and_value(loss)(w, x)
        per = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(w, x)
        _, jv = torch.func.jvp(lambda v: loss(v, x), (w,), (torch.ones_like(w),))
        return grad, value, per, jv, torch.func.hessian(loss)(w, x).diagonal()

    g = r.compile(f)
    w = torch.tensor([1.0, -1.0, 0.5])
    g(w, grid())
    g(w, grid(0.1))
    g(w.clone().requires_grad_(), grid())
    r.see(counter)
