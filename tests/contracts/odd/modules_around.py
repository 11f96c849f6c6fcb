"""What stands around modules: lazy layers, operators, partial methods, patched functions, gradients that add up."""

from __future__ import annotations

import collections
import functools
import operator
import typing

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


def filled(module, value=0.25):
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.full_like(p, value) + torch.arange(p.numel()).reshape(p.shape) * 0.01)
    return module


class Lazy(nn.Module):
    built: typing.ClassVar[int] = 0

    def __init__(self):
        super().__init__()
        self.table = collections.OrderedDict()

    def forward(self, x):
        key = x.shape[-1]
        if key not in self.table:
            type(self).built += 1
            self.table[key] = torch.full((key,), float(self.built))
        return x * self.table[key]


@odd
def builds_on_first_sight(r):
    Lazy.built = 0
    net = Lazy()
    g = r.compile(net)
    for n in (3, 2, 3, 4, 2):
        g(torch.ones(2, n))
        r.see(net.built, list(net.table))


@odd
def lazy_linear(r):
    net = nn.Sequential(nn.LazyLinear(2), nn.Flatten(), nn.LazyBatchNorm1d())
    if r.way == "step":
        net(grid())
    g = r.compile(net)
    g(grid())
    g(grid(2.0))
    r.see(type(net[0]).__name__, sorted(net.state_dict()))


@odd
def operator_overloads(r):
    class Vec:
        ops: typing.ClassVar[list[str]] = []

        def __init__(self, t):
            self.t = t

        def __add__(self, o):
            self.ops.append("add")
            return Vec(self.t + (o.t if isinstance(o, Vec) else o))

        __radd__ = __add__

        def __matmul__(self, o):
            self.ops.append("matmul")
            return (self.t * o.t).sum()

        def __rmul__(self, k):
            self.ops.append("rmul")
            return Vec(k * self.t)

        def __iadd__(self, o):
            self.ops.append("iadd")
            self.t = self.t + o
            return self

        def __bool__(self):
            self.ops.append("bool")
            return bool(self.t.sum() > 0)

        def __len__(self):
            return len(self.t)

        def __getitem__(self, k):
            self.ops.append("get")
            return self.t[k]

        def __contains__(self, k):
            return k in (1, 2)

        def __lt__(self, o):
            return self.t.sum().item() < o.t.sum().item()

    def f(x):
        v = Vec(x)
        w = 2 * v + v
        w += 1
        u = sum([v, w], 0)
        small = min(v, w)
        return (u @ v) + len(w) + u[0] + next(each.sum() for each in v), small is v, 1 in v, 5 in v, 1 if v else 0

    g = r.compile(f)
    g(grid())
    g(grid(-1.0))
    r.see(Vec.ops)


@odd
def partial_and_methods(r):
    class Job:
        def __init__(self, k):
            self.k, self.n = k, 0

        def go(self, x):
            self.n += 1
            return x * self.k

        @classmethod
        def make(cls, k):
            return cls(k + 1)

        @staticmethod
        def shift(x):
            return x + 1

    job = Job(2)
    f = functools.partial(job.go)
    g = r.compile(lambda x, h: operator.methodcaller("sum")(h(Job.shift(x))) + Job.make(1).go(x).mean())
    g(grid(), f)
    g(grid(), job.go)
    job.k = 5
    g(grid(), job.go)
    g(grid(), Job(3).go)
    g(grid(), torch.neg)
    r.see(job.n)
    Job.shift = staticmethod(lambda x: x - 1)
    g(grid(), job.go)


@odd
def named_tuples_and_classes_out(r):
    Pair = collections.namedtuple("Pair", "left right")

    class Out(typing.NamedTuple):
        loss: torch.Tensor
        extra: dict
        n: int = 0

        @property
        def both(self):
            return self.loss + self.n

    def f(x, p):
        q = p._replace(left=p.left + 1)
        a, b = q
        o = Out(x.sum() * a, {"b": b, "x": x}, n=len(q))
        return o, q, o.both, q.right is p.right, o._fields

    g = r.compile(f)
    g(grid(), Pair(1, torch.ones(2)))
    g(grid(), Pair(left=torch.ones(3), right="s"))


@odd
def exceptions_with_state(r):
    class Stop(Exception):
        def __init__(self, value):
            super().__init__("stopped")
            self.value = value

    def check(x, limit):
        if x.sum() > limit:
            raise Stop(float(x.sum()))

    done = []

    def f(x, limit):
        out = []
        try:
            for row in x:
                out.append(row * 2)
                done.append(len(out))
                check(row, limit)
        except Stop as s:
            return torch.stack(out) + s.value
        except Exception:
            done.append("other")
            raise
        else:
            done.append("all")
        assert len(out) < 3, f"too many: {len(out)}"
        return torch.stack(out)

    g = r.compile(f)
    g(grid(), 100)
    g(grid(), 3)
    g(torch.ones(4, 2), 100)
    g(grid(), "no")
    r.see(done)


@odd
def global_function_patched(r):
    import math
    from unittest import mock

    def f(x):
        return x * math.floor(2.7) + torch.relu(x).sum()

    g = r.compile(f)
    g(grid())
    with mock.patch("math.floor", return_value=10):
        g(grid())
    with mock.patch.object(torch, "relu", lambda v: v * 0):
        g(grid())
    g(grid())


@odd
def dict_of_batches(r):
    net = filled(nn.Linear(3, 1))

    def f(batch, seen=collections.Counter()):  # noqa: B006 - it is what is tried
        seen.update(batch.keys())
        x = batch.pop("x")
        batch["used"] = True
        w = batch.setdefault("w", torch.ones(x.shape[0], 1))
        batch["w"] = w * 2
        return (net(x) * w).mean(), sorted(batch), dict(seen)

    g = r.compile(f)
    g({"x": grid()})
    g({"x": grid(), "w": torch.zeros(2, 1)})
    g({"w": torch.zeros(2, 1)})
    b = {"x": grid(2.0), "z": 1}
    g(b)
    r.see(b)


@odd
def default_dtype_and_flags(r):
    def f(x):
        y = torch.zeros(2, 3) + 1.5
        return (
            (x + y).dtype,
            torch.get_default_dtype(),
            torch.tensor(1.0) * x,
            torch.arange(3) / 2,
            torch.is_inference_mode_enabled(),
        )

    g = r.compile(f)
    g(grid())
    torch.set_default_dtype(torch.float64)
    g(grid())
    torch.set_default_dtype(torch.float32)
    if r.way != "step":
        with torch.inference_mode():
            g(grid())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        g(grid())
    g(grid())


@odd
def accumulates_gradients(r):
    net = filled(nn.Linear(3, 1))
    g = r.compile(net)
    if r.way == "step":
        g(grid())
        g(grid())
        r.see(net)
        return
    for s in (1.0, 2.0):
        g(grid(s)).sum().backward()
        r.see(net.weight.grad, net.bias.grad)
    net.zero_grad(set_to_none=False)
    y = g(grid())
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    r.see(net.weight.grad)
    x = grid().requires_grad_()
    (first,) = torch.autograd.grad(g(x * 1).pow(2).sum(), x, create_graph=True)
    r.see(first)
    first.sum().backward()
    r.see(x.grad, net.weight.grad)
