"""Names: globals, closures, defaults, attributes, that change between calls."""

from __future__ import annotations

import builtins

import torch

from tests.contracts.odd.recorder import grid, odd

_factor = 1.0
_table = {"k": 1.0}
_listed = [1.0, 2.0]
_weight = torch.ones(3)
_none = None
_function = torch.sin
_flag = False


@odd
def global_number(r):
    global _factor
    f = r.compile(lambda x: x * _factor)
    for _factor in (1.0, 2.0, 2.5, 0.0, -1.0, float("inf"), 1, True, 2.5):
        f(grid())
    _factor = 1.0


@odd
def global_tensor_reassigned(r):
    global _weight
    f = r.compile(lambda x: x * _weight)
    for i in range(4):
        _weight = torch.full((3,), float(i))
        f(grid())
    _weight = torch.full((2, 1), 3.0, dtype=torch.float64)
    f(grid())
    _weight = 3
    f(grid())
    _weight = torch.ones(3)


@odd
def global_tensor_mutated(r):
    global _weight
    _weight = torch.ones(3)
    f = r.compile(lambda x: x * _weight)
    f(grid())
    _weight.add_(1)
    f(grid())
    _weight[0] = 9
    f(grid())
    _weight.data = torch.zeros(3)
    f(grid())
    _weight.resize_(1).fill_(4)
    f(grid())
    _weight = torch.ones(3)


@odd
def global_tensor_written(r):
    global _weight
    _weight = torch.ones(3)

    def f(x):
        _weight.add_(1)
        return x * _weight

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(_weight)


@odd
def global_function_replaced(r):
    global _function
    f = r.compile(lambda x: _function(x))
    for _function in (torch.sin, torch.cos, lambda x: x + 1, lambda x: x + 2, len, torch.sin):
        f(grid())
    _function = torch.sin


@odd
def global_assigned_inside(r):
    global _factor
    _factor = 1.0

    def f(x):
        global _factor
        _factor = _factor * 2
        return x * _factor

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(_factor)
    _factor = 10.0
    f(grid())
    r.see(_factor)
    _factor = 1.0


@odd
def global_assigned_tensor_inside(r):
    global _none
    _none = None

    def f(x):
        global _none
        before = _none
        _none = x * 2
        return _none if before is None else before + _none

    f = r.compile(f)
    for i in range(4):
        f(grid() + i)
        r.see(_none)
    _none = None


@odd
def global_deleted(r):
    globals()["_passing"] = 2.0
    f = r.compile(lambda x: x * _passing)
    f(grid())
    del globals()["_passing"]
    f(grid())
    globals()["_passing"] = 3.0
    f(grid())
    del globals()["_passing"]


@odd
def global_made_inside(r):
    def f(x):
        globals()["_made"] = x.shape[0]
        return x * globals().get("_made", 0)

    f = r.compile(f)
    f(grid())
    f(grid()[:1])
    r.see(globals().pop("_made"))


@odd
def global_dict_edited(r):
    f = r.compile(lambda x: sum(v for v in _table.values()) * x + len(_table))
    f(grid())
    _table["k"] = 5.0
    f(grid())
    _table["m"] = 7.0
    f(grid())
    del _table["k"]
    f(grid())
    _table.clear()
    f(grid())
    _table["k"] = 1.0


@odd
def global_list_edited(r):
    f = r.compile(lambda x: x * _listed[-1] + len(_listed))
    f(grid())
    _listed.append(4.0)
    f(grid())
    _listed.insert(0, 5.0)
    f(grid())
    _listed.reverse()
    f(grid())
    _listed[:] = [1.0, 2.0]
    f(grid())


@odd
def global_shadows_builtin(r):
    f = r.compile(lambda x: x * max(2, 3))
    f(grid())
    globals()["max"] = lambda *a: 100
    f(grid())
    del globals()["max"]
    f(grid())


@odd
def builtin_replaced(r):
    f = r.compile(lambda x: x * abs(-3))
    f(grid())
    before = builtins.abs
    try:
        builtins.abs = lambda v: 50
        f(grid())
    finally:
        builtins.abs = before
    f(grid())


@odd
def closure_number(r):
    k = 1

    def f(x):
        return x * k

    f = r.compile(f)
    for k in (1, 2, 3, 2.5, 1 << 40, -1, True):  # noqa: B007
        f(grid())


@odd
def closure_nonlocal(r):
    n, last = 0, None

    def f(x):
        nonlocal n, last
        n += 1
        last = x * n
        return last

    f = r.compile(f)
    for _ in range(4):
        f(grid())
        r.see(n, last)
    n = 100
    f(grid())
    r.see(n)


@odd
def closure_tensor_reassigned(r):
    t = torch.ones(3)

    def f(x):
        return x + t

    f = r.compile(f)
    f(grid())
    t = torch.zeros(3)
    f(grid())
    t = torch.ones(3, requires_grad=True)
    f(grid())
    t.data.mul_(7)
    f(grid())
    t = None
    f(grid())


@odd
def closure_shared_by_two(r):
    n = 0

    def up(x):
        nonlocal n
        n += 1
        return x + n

    def look(x):
        return x * n

    up, look = r.compile(up), r.compile(look)
    for _ in range(3):
        up(grid())
        look(grid())


@odd
def closure_over_a_loop(r):
    fs = [r.compile(lambda x: x * i) for i in range(3)]
    for f in fs:
        f(grid())


@odd
def closure_unassigned(r):
    def f(x):
        return x * later

    f = r.compile(f)
    f(grid())
    later = 2.0
    f(grid())
    later = 3.0
    f(grid())
    del later
    f(grid())


@odd
def default_mutable(r):
    def f(x, seen=[], table={}):  # noqa: B006
        seen.append(float(len(seen)))
        table[len(table)] = x
        return x * sum(seen) + len(table)

    f = r.compile(f)
    for _ in range(4):
        f(grid())


@odd
def default_tensor(r):
    def f(x, w=torch.ones(3)):  # noqa: B008
        w += 1
        return x * w

    f = r.compile(f)
    for _ in range(3):
        f(grid())


@odd
def default_replaced(r):
    def f(x, k=1.0, *, m=2.0):
        return x * k * m

    g = r.compile(f)
    g(grid())
    f.__kwdefaults__["m"] = 3.0
    g(grid())
    f.__kwdefaults__ = {"m": 5.0}
    g(grid())


@odd
def code_replaced(r):
    def f(x):
        return x * 2

    g = r.compile(f)
    g(grid())
    f.__code__ = (lambda x: x * 3).__code__
    g(grid())


@odd
def locals_and_eval(r):
    def f(x):
        k = 3
        return x * len(locals()) + eval("k") * x

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def exec_inside(r):
    def f(x):
        space = {"x": x}
        exec("y = x * 7", space)
        return space["y"]

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def import_inside(r):
    def f(x):
        import math as m
        from math import sqrt

        return x * m.pi + sqrt(4)

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def flag_of_a_global(r):
    global _flag

    def f(x):
        if _flag:
            return x * 2
        elif not x.requires_grad:
            return x + 1
        return x

    f = r.compile(f)
    for _flag in (False, True, 0, 1, [], [0], None, "no"):
        f(grid())
    _flag = False


@odd
def id_and_identity(r):
    t = torch.ones(3)

    def f(x, y):
        return (x is y, x is t, id(x) == id(y), x + y)

    f = r.compile(f)
    a = grid()
    f(a, a)
    f(a, grid())
    f(t, t)
