"""Tensors of other kinds, in other modes: subclasses, functions of their own, views of one input, layouts."""

from __future__ import annotations

import typing

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


@odd
def attributes_set_on_them(r):
    def f(x):
        x.note = getattr(x, "note", 0) + 1
        y = x * 2
        y.tag = "made"
        return y

    g = r.compile(f)
    x = grid()
    g(x)
    g(x)
    r.see(x.note, vars(x))
    holder = []

    def h(x):
        y = x + 1
        y.label = ("y", x.shape[0])
        holder.append(y)
        return y.sum()

    r.compile(h)(grid())
    r.see(holder[0].label)


class Units(torch.Tensor):
    ran: typing.ClassVar[list[str]] = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.ran.append(getattr(func, "__name__", str(func)))
        out = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(out, cls):
            out.unit = next((a.unit for a in args if isinstance(a, cls) and hasattr(a, "unit")), "none")
        return out


@odd
def subclass_with_a_unit(r):
    def f(x, y):
        z = x * y + 1
        return z, z.sum(), getattr(z, "unit", None)

    g = r.compile(f)
    x = grid().as_subclass(Units)
    x.unit = "m"
    g(x, torch.ones(3))
    x.unit = "km"
    g(x, torch.ones(3))
    g(grid(), torch.ones(3))
    r.see(type(x).__name__, x.unit)


class Duck:
    def __init__(self, data):
        self.data, self.log = data, []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        me = next(a for a in args if isinstance(a, cls))
        me.log.append(func.__name__)
        args = [a.data if isinstance(a, cls) else a for a in args]
        return cls(func(*args, **(kwargs or {})))


@odd
def duck_typed(r):
    def f(d, x):
        a = torch.add(d, x)
        b = torch.mul(a, 2).data
        return b + torch.sum(d).data

    g = r.compile(f)
    d = Duck(grid())
    g(d, torch.ones(3))
    g(d, torch.ones(3) * 2)
    r.see(d.log)


class Clipped(torch.autograd.Function):
    calls: typing.ClassVar[list[str]] = []

    @staticmethod
    def forward(ctx, x, low):
        ctx.save_for_backward(x)
        ctx.low = low
        Clipped.calls.append("f")
        return x.clamp(min=low)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        Clipped.calls.append("b")
        return torch.where(x > ctx.low, g, 0.5 * g), None


@odd
def straight_through_function(r):
    Clipped.calls.clear()
    w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))

    def f(x, low):
        return Clipped.apply(x * w, low).sum(1)

    g = r.compile(f)
    g(grid(), 0.0)
    g(grid(-1.0), 0.5)
    if r.way != "step":
        y = g(grid(), 0.0)
        y.sum().backward()
        r.see(w.grad)
        y = g(grid(), 1.0)
        y.prod().backward()
        r.see(w.grad)
    r.see(len(Clipped.calls) >= 2)


@odd
def grad_regions(r):
    w = nn.Parameter(torch.ones(3))

    def f(x, mode):
        with torch.set_grad_enabled(mode > 0):
            a = x * w
        with torch.no_grad():
            b = x * w
            w.mul_(1.5)
        with torch.enable_grad():
            c = b + w.sum()
        d = (a * c).detach()
        return a, b, c, d, torch.is_grad_enabled()

    g = r.compile(f)
    g(grid(), 1)
    g(grid(), 0)
    if r.way != "step":
        with torch.no_grad():
            g(grid(), 1)
    r.see(w)


@odd
def requires_grad_toggled(r):
    lin = nn.Linear(3, 2)
    with torch.no_grad():
        lin.weight.fill_(0.5)
        lin.bias.fill_(0.1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = lin

        def forward(self, x):
            return self.lin(x)

    g = r.compile(Net())
    g(grid())
    lin.weight.requires_grad_(False)
    y = g(grid())
    r.see(y.requires_grad)
    lin.bias.requires_grad = False
    if r.way != "step":
        y = g(grid())
        r.see(y.requires_grad)
    lin.requires_grad_(True)
    g(grid())
    r.see(lin)


@odd
def identity_of_outputs(r):
    cache = {}
    const = torch.ones(3)

    def f(x, y):
        cache["x"] = x
        a = x.view(x.shape)
        b = x.to(x.dtype)
        c = x.contiguous()
        d = x.expand_as(x)
        e = x.clone() if x is y else x
        return x, a, b, c, d, e, x is b, x is c, const, y

    g = r.compile(f)
    x = grid()
    g(x, x)
    r.see(cache["x"] is x)
    g(x, grid())
    out = g(x.t(), x)
    if isinstance(out, tuple):
        r.see(out[8] is const, out[0]._base is None)


@odd
def two_views_of_one_input(r):
    def f(a, b):
        a.add_(1)
        c = b * 2
        b.mul_(3)
        return a + c, c

    g = r.compile(f)
    base = torch.arange(6.0)
    g(base[:3], base[3:])
    r.see(base)
    g(base[:4], base[2:])
    r.see(base)
    g(base, base)
    r.see(base)
    g(base[::2], base[1::2])
    r.see(base)
    m = torch.arange(9.0).reshape(3, 3)
    g(m, m.t())
    r.see(m)


@odd
def resized_and_reset(r):
    def f(x, n):
        y = x.clone()
        y.resize_(n)
        y[3:] = 0
        z = torch.empty(0)
        z.set_(x)
        z.add_(1)
        w = x.new_empty(0)
        w.data = x[0]
        return y, z.shape, w * 2

    g = r.compile(f)
    g(torch.arange(4.0), 3)
    g(torch.arange(4.0), 3)
    g(grid(), 2)

    def h(x, n):
        x.resize_(n)
        return x.sum() * 0 + x.numel()

    h = r.compile(h)
    x = torch.arange(6.0)
    h(x, 4)
    r.see(x.shape)
    h(x, 2)
    r.see(x.shape)


@odd
def empty_and_scalar(r):
    def f(x):
        return (
            x.sum(),
            x.numel(),
            x.reshape(-1),
            torch.cat([x.reshape(-1), torch.ones(2)]),
            x.mean(),
            x.unsqueeze(0).squeeze(),
            x.dim(),
            x.prod(),
            bool(x.any()),
            x.all(),
            torch.stack([x, x]),
            x.T.shape if x.dim() == 2 else None,
        )

    g = r.compile(f)
    for x in (
        torch.tensor(3.0),
        torch.empty(0),
        torch.empty(0, 3),
        torch.empty(2, 0, 4),
        torch.ones(1),
        torch.ones(1, 1),
    ):
        g(x)


@odd
def max_of_none(r):
    def f(x):
        try:
            top = x.max()
        except RuntimeError as e:
            return str(e).split(":")[0], x.shape
        return top, x.argmin(), x.aminmax()

    g = r.compile(f)
    for x in (torch.ones(2), torch.empty(0), torch.tensor(1.0), torch.empty(0, 2), grid()):
        g(x)


@odd
def non_contiguous_results(r):
    def f(x):
        y = (x * 2).t()
        z = x.permute(*reversed(range(x.dim())))[::1]
        w = torch.empty_strided((2, 3), (1, 2)).fill_(1)
        v = x.transpose(0, 1).contiguous()
        return y, z, w, v, y.stride(), z.is_contiguous(), y.storage_offset(), x[1:].storage_offset()

    g = r.compile(f)
    g(grid())
    g(grid().t())
    g(torch.ones(4, 5)[1:, ::2])
    g(torch.ones(1, 3).expand(2, 3))


@odd
def channels_last_tensors(r):
    conv = nn.Conv2d(2, 3, 1)
    with torch.no_grad():
        for p in conv.parameters():
            p.fill_(0.25)

    def f(x):
        y = conv(x)
        return y.relu(), y.is_contiguous(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last) * 2

    g = r.compile(f)
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    g(x)
    g(x.to(memory_format=torch.channels_last))
    conv.to(memory_format=torch.channels_last)
    g(x)
