"""Objects that answer for themselves: weak references, views of dicts, metaclasses, descriptors, recursion."""

from __future__ import annotations

import collections
import functools
import re
import string
import time
import types
import typing

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


@odd
def namespace_and_dict_views(r):
    cfg = types.SimpleNamespace(lr=0.1, sub=types.SimpleNamespace(k=2), tags=["a"])
    od = collections.OrderedDict(a=1, b=2)
    chain = collections.ChainMap({"x": 1}, {"x": 2, "y": 3})
    count = collections.Counter()
    dd = collections.defaultdict(list)

    def f(x, key):
        cfg.sub.k += 1
        cfg.tags += [key]
        od.move_to_end("a")
        od[key] = od.pop("b", 0) + 1
        chain["y"] = chain["x"] + chain["y"]
        count.update(key * 2)
        dd[key].append(x.sum())
        return x * cfg.lr * cfg.sub.k + sum(od.values()) + chain["y"] + count.most_common(1)[0][1] + len(dd)

    g = r.compile(f)
    for key in ("q", "r", "q"):
        g(grid(), key)
        r.see(vars(cfg.sub), cfg.tags, od, dict(chain), dict(count), dict(dd))


@odd
def strings_and_regex(r):
    def f(x, spec):
        m = re.match(r"(?P<op>[a-z]+)(\d+)?", spec)
        op, n = m["op"], int(m.group(2) or 1)
        template = string.Template("$op-$n").substitute(op=op, n=n)
        text = "{0!r:>8}|{n:03d}|{t}".format(op, n=n, t=template.upper())
        y = {"mul": torch.mul, "add": torch.add, "pow": torch.pow}[op](x, n)
        return y, text, f"{x.shape!s:^30}", "%s %5.2f" % (x.dtype, n)

    g = r.compile(f)
    for spec in ("mul2", "add", "pow3", "mul2", "sub1"):
        g(grid(), spec)


@odd
def time_and_identity(r):
    marks = []

    def f(x):
        a = time.perf_counter()
        y = x * 2
        b = time.perf_counter()
        marks.append(b >= a)
        marks.append(id(y) != id(x))
        marks.append(hash(x) == id(x))
        return y

    g = r.compile(f)
    g(grid())
    g(grid())
    r.see(marks)


@odd
def recursion(r):
    depth_seen = []

    def f(tree, depth=0):
        depth_seen.append(depth)
        if isinstance(tree, torch.Tensor):
            return tree.sum() / (depth + 1)
        if isinstance(tree, dict):
            return sum((f(v, depth + 1) for v in tree.values()), torch.zeros(()))
        return functools.reduce(lambda a, b: a + f(b, depth + 1), tree, torch.zeros(()))

    def halve(x):
        return x if x.abs().max() < 1 else halve(x / 2)

    g = r.compile(lambda t: f(t))
    g([grid(), {"a": grid(2.0), "b": [grid()]}])
    g({"z": [[[grid()]]]})
    r.see(depth_seen)
    h = r.compile(halve)
    h(grid())
    h(grid(100.0))


class Meta(type):
    made: typing.ClassVar[list[str]] = []

    def __new__(mcs, name, bases, ns, **kw):
        cls = super().__new__(mcs, name, bases, ns)
        mcs.made.append(name)
        cls.factor = kw.get("factor", 1)
        return cls

    def __call__(cls, *args):
        obj = super().__call__(*args)
        obj.born = len(Meta.made)
        return obj


@odd
def metaclass_made_inside(r):
    Meta.made.clear()

    def f(x, k):
        class Op(metaclass=Meta, factor=k):
            def __init__(self, x):
                self.x = x

            def run(self):
                return self.x * self.factor + self.born

        return Op(x).run()

    g = r.compile(f)
    g(grid(), 2)
    g(grid(), 3)
    r.see(Meta.made)


class Validated:
    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, obj, kind=None):
        if obj is None:
            return self
        obj.__dict__.setdefault("log", []).append("get" + self.name)
        return obj.__dict__[self.name]

    def __set__(self, obj, value):
        if isinstance(value, (int, float)) and value < 0:
            raise ValueError(f"{self.name} below zero")
        obj.__dict__.setdefault("log", []).append("set" + self.name)
        obj.__dict__[self.name] = value


class Config:
    scale = Validated()
    shift = Validated()

    def __init__(self):
        self.scale, self.shift = 1.0, 0.0


@odd
def descriptors(r):
    cfg = Config()

    def f(x, v):
        y = x * cfg.scale + cfg.shift
        cfg.shift = y.mean().item()
        cfg.scale = v
        return y

    g = r.compile(f)
    g(grid(), 2.0)
    g(grid(), -1.0)
    g(grid(), torch.tensor(3.0))
    g(grid(), 1)
    r.see(cfg.log, cfg.scale, cfg.shift)


class Proxy(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        nn.init.constant_(self.inner.weight, 0.5)
        nn.init.zeros_(self.inner.bias)
        self.asked = []

    def __getattr__(self, name):
        if name.startswith("virtual_"):
            self.asked.append(name)
            return float(name[8:])
        return super().__getattr__(name)

    def __call__(self, *args, **kw):
        self.asked.append("called")
        return super().__call__(*args, **kw)

    def forward(self, x):
        return self.inner(x) * self.virtual_2 + getattr(self, "missing", self.virtual_3)


@odd
def module_getattr_and_call(r):
    m = Proxy()
    g = r.compile(m)
    g(grid())
    g(grid())
    m.missing = 1.0
    g(grid())
    r.see(m.asked)
