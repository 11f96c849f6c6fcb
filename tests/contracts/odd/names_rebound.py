"""Names that mean something else in the next call: globals, modules, tables, attributes."""

from __future__ import annotations

import functools
import sys
import types

import numpy as np
import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

RATE = 0.5

VECTOR = torch.ones(3)


@odd
def globals_of_a_made_function(r):
    ns = {"torch": torch, "k": 2.0, "log": []}
    exec("def f(x):\n    global k\n    k = k + 1\n    log.append(k)\n    return helper(x) * k\n", ns)
    ns["helper"] = lambda x: x + 1
    g = r.compile(ns["f"])
    g(grid())
    g(grid())
    ns["helper"] = torch.sin
    g(grid())
    ns["k"] = torch.tensor(5.0)
    g(grid())
    del ns["helper"]
    g(grid())
    ns["helper"] = types.FunctionType((lambda x: x * k).__code__, {"k": 3})
    g(grid())
    r.see(ns["k"], ns["log"])


@odd
def global_rebound_to_other_kinds(r):
    global RATE, VECTOR

    def f(x):
        return x * RATE + VECTOR

    g = r.compile(f)
    try:
        for rate in (
            0.5,
            2,
            True,
            torch.tensor(3.0),
            np.float32(1.5),
            np.float64(2.5),
            1 + 1j,
            torch.ones(3).requires_grad_(),
        ):
            RATE = rate
            g(grid())
        RATE = 0.5
        for v in (VECTOR, VECTOR.double(), 7, VECTOR[:1], nn.Parameter(VECTOR), torch.ones(2)):
            VECTOR = v
            g(grid())
    finally:
        RATE, VECTOR = 0.5, torch.ones(3)


@odd
def module_reloaded(r):
    mod = types.ModuleType("n_mod_reloaded")
    sys.modules["n_mod_reloaded"] = mod
    src = (
        "import torch\nK = {k}\ncalls = []\n"
        "def scale(x):\n    calls.append(K)\n    return x * K\n"
        "class C:\n    k = K\n    def __call__(self, x): return scale(x) + self.k\n"
    )

    def load(k):
        exec(compile(src.format(k=k), "n_mod", "exec"), mod.__dict__)

    load(2)
    obj = mod.C()

    def f(x):
        import n_mod_reloaded as m

        return m.scale(x) + obj(x) + m.C()(x)

    g = r.compile(f)
    try:
        g(grid())
        load(3)
        g(grid())
        r.see(mod.calls)
        mod.K = 10
        g(grid())
        r.see(mod.calls)
        load(2)
        g(grid())
        del mod.scale
        g(grid())
    finally:
        del sys.modules["n_mod_reloaded"]


@odd
def lambdas_in_dicts(r):
    k = 1.0
    table = {"id": lambda x: x, "add": lambda x, y=2: x + y + k, "chain": lambda x: table["add"](table["id"](x))}

    def f(x, names):
        return functools.reduce(lambda acc, n: table[n](acc), names, x)

    g = r.compile(f)
    g(grid(), ["id"])
    g(grid(), ["add", "chain"])
    table["id"] = torch.neg
    g(grid(), ["id"])
    g(grid(), ["add", "chain"])
    k = torch.tensor(4.0)
    g(grid(), ["chain"])
    table["add"].__defaults__ = (5,)
    g(grid(), ["chain"])
    table.pop("id")
    g(grid(), ["chain"])


@odd
def patch_inside_the_function(r):
    ns = types.SimpleNamespace(act=torch.relu, log=[])

    def helper(x):
        return ns.act(x)

    def f(x, swap):
        y = helper(x)
        old = ns.act
        if swap:
            ns.act = lambda v: v * 10
            ns.log.append(old is torch.relu)
        try:
            return y + helper(x)
        finally:
            if not swap:
                ns.act = torch.tanh

    g = r.compile(f)
    g(grid(-1.0), False)
    g(grid(-1.0), False)
    g(grid(-1.0), True)
    g(grid(-1.0), False)
    r.see(ns.log, ns.act(torch.tensor(1.0)))


@odd
def deleted_attributes(r):
    class A:
        k = 1.0

    a = A()
    a.k = 2.0

    def f(x, drop):
        y = x * a.k
        if drop and "k" in vars(a):
            del a.k
        a.n = getattr(a, "n", 0) + 1
        return y + a.k

    g = r.compile(f)
    g(grid(), False)
    g(grid(), True)
    g(grid(), True)
    del A.k
    g(grid(), False)
    r.see(vars(a))
    A.k = torch.ones(3)
    g(grid(), False)
    del a.n
    g(grid(), False)
    r.see(vars(a))


@odd
def item_decides_and_writes(r):
    budget = {"left": 30.0, "used": []}

    def f(x):
        need = x.sum().item()
        if need <= budget["left"]:
            budget["left"] -= need
            budget["used"].append(need)
            x += 1
            return x.mean()
        budget["left"] += 100
        x[0].zero_()
        return x.sum() * -1

    g = r.compile(f)
    for _ in range(4):
        g(grid())
    r.see(budget)
