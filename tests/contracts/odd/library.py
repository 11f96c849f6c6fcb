"""The standard library around tensors: copies, caches, threads, weak references, compiled functions in each other."""

from __future__ import annotations

import contextvars
import copy
import functools
import gc
import inspect
import io
import json
import operator
import os
import pickle
import re
import sys
import threading
import traceback
import weakref

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


@odd
def deepcopy_inside(r):
    def f(x, tree):
        twin = copy.deepcopy(tree)
        twin["a"].append(x)
        y = copy.copy(x)
        y += 1
        return twin, y, len(tree["a"])

    f = r.compile(f)
    for _ in range(2):
        f(grid(), {"a": [1, grid()]})


@odd
def cached_function(r):
    calls = []

    @functools.lru_cache
    def table(n):
        calls.append(n)
        return torch.arange(float(n))

    f = r.compile(lambda x: x * table(x.shape[1]))
    for t in (grid(), grid(), torch.ones(2, 2), grid()):
        f(t)
        r.see(calls)


@odd
def cached_property(r):
    class Own:
        made = 0

        @functools.cached_property
        def table(self):
            Own.made += 1
            return torch.ones(3) * Own.made

    own = Own()
    f = r.compile(lambda x: x + own.table)
    f(grid())
    f(grid())
    del own.table
    f(grid())
    r.see(Own.made)


@odd
def single_dispatch(r):
    @functools.singledispatch
    def twice(value):
        return "other"

    @twice.register
    def _(value: torch.Tensor):
        return value * 2

    @twice.register
    def _(value: list):
        return [twice(v) for v in value]

    f = r.compile(lambda v: twice(v))
    f(grid())
    f([grid(), 1])
    f(3)
    twice.register(int, lambda v: v + 100)
    f(3)


@odd
def reduce_and_operator(r):
    f = r.compile(
        lambda xs: (
            functools.reduce(operator.add, xs),
            operator.itemgetter(0)(xs),
            operator.attrgetter("shape")(xs[0]),
            operator.methodcaller("sum")(xs[0]),
        )
    )
    f([grid(), grid(2)])
    f((grid(),))


@odd
def partial_of_a_method(r):
    class Own:
        k = 2

        def go(self, x, y=1):
            return x * self.k + y

    own = Own()
    f = r.compile(functools.partial(own.go, y=3))
    f(grid())
    own.k = 5
    f(grid())
    f(grid(), y=0)


@odd
def wraps_and_signature(r):
    def outer(g):
        @functools.wraps(g)
        def inner(*args, **named):
            return g(*args, **named) * 2

        return inner

    @outer
    def f(x, k=3):
        return x * k

    r.see(str(inspect.signature(f)), f.__name__)
    f = r.compile(f)
    f(grid())
    f(grid(), k=1)
    f(grid(), 2, 3)
    f()


@odd
def weak_reference(r):
    class Own:
        k = 2.0

    own = Own()
    ref = weakref.ref(own)
    f = r.compile(lambda x: x * (ref().k if ref() is not None else -1.0))
    f(grid())
    own.k = 3.0
    f(grid())
    del own
    gc.collect()
    f(grid())


@odd
def weak_dictionary(r):
    store = weakref.WeakKeyDictionary()

    class Key:
        pass

    key = Key()
    store[key] = 2.0
    f = r.compile(lambda x: x * sum(store.values()))
    f(grid())
    store[key] = 5.0
    f(grid())
    del key
    gc.collect()
    f(grid())


@odd
def result_dies(r):
    f = r.compile(lambda x: x * 2)
    y = f(grid())
    ref = weakref.ref(y)
    del y
    gc.collect()
    r.see(ref() is None)


@odd
def argument_dies(r):
    class Own:
        def __init__(self, t):
            self.t = t

    f = r.compile(lambda o: o.t * 2)
    own = Own(grid())
    f(own)
    ref = weakref.ref(own)
    del own
    gc.collect()
    r.see(ref() is None)
    f(Own(grid(2)))


@odd
def threads(r):
    f = r.compile(lambda x: x * 2 + 1)
    f(grid())
    got = {}

    def work(i):
        got[i] = grid(i) * 2 + 1

    ts = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    r.see(dict(sorted(got.items())))


@odd
def thread_inside(r):
    def f(x):
        got = []
        t = threading.Thread(target=lambda: got.append(x * 2))
        t.start()
        t.join()
        return got[0]

    f = r.compile(f)
    f(grid())
    f(grid(2))


@odd
def lock_inside(r):
    lock, log = threading.Lock(), []

    def f(x):
        with lock:
            log.append(lock.locked())
            return x * 2

    f = r.compile(f)
    f(grid())
    f(grid())
    r.see(log, lock.locked())


@odd
def thread_local(r):
    local = threading.local()
    local.k = 1.0
    f = r.compile(lambda x: x * local.k)
    f(grid())
    local.k = 2.0
    f(grid())


@odd
def context_variable(r):
    var = contextvars.ContextVar("var", default=1.0)
    f = r.compile(lambda x: x * var.get())
    f(grid())
    token = var.set(5.0)
    f(grid())
    var.reset(token)
    f(grid())


@odd
def compiled_in_compiled(r):
    inner = r.compile(lambda x: x * 2 + x.sum())
    f = r.compile(lambda x: (inner(x), inner(x + 1))[0] if r.way != "compile" else x)
    f(grid())


@odd
def torch_compiled_inside(r):
    inner = torch.compile(lambda x: x * 2, backend="eager")
    f = r.compile(lambda x: inner(x) + 1)
    f(grid())
    f(grid(2))


@odd
def function_kept_from_capture(r):
    @torch.compiler.disable
    def plain(x):
        return x * 3

    f = r.compile(lambda x: plain(x) + 1)
    f(grid())
    f(grid(2))


@odd
def graph_break_by_hand(r):
    def f(x):
        y = x * 2
        torch._dynamo.graph_break()
        return y + 1

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def is_compiling_is_false_for_users(r):
    f = r.compile(lambda x: x * 2 if torch.compiler.is_compiling() and False else x * 3)
    f(grid())


@odd
def scripted_inside(r):
    class Own(nn.Module):
        def forward(self, x):
            return x * 2

    inner = torch.jit.trace(Own(), grid())
    f = r.compile(lambda x: inner(x) + 1)
    f(grid())


@odd
def json_and_regular_expressions(r):
    def f(x, text):
        found = re.findall(r"\d+", text)
        return x * len(found), json.loads(json.dumps({"n": x.shape[0], "t": found})), re.sub("a", "b", text)

    f = r.compile(f)
    f(grid(), "a1 22")
    f(grid(), "none")


@odd
def environment_variable(r):
    f = r.compile(lambda x: x * float(os.environ.get("ODD_FACTOR", "1")))
    f(grid())
    os.environ["ODD_FACTOR"] = "3"
    f(grid())
    del os.environ["ODD_FACTOR"]
    f(grid())


@odd
def saves_and_loads(r):
    def f(x):
        buffer = io.BytesIO()
        torch.save(x * 2, buffer)
        buffer.seek(0)
        return torch.load(buffer)

    f = r.compile(f)
    f(grid())
    f(grid(2))


@odd
def pickles(r):
    f = r.compile(lambda x: pickle.loads(pickle.dumps({"x": x, "n": 3})))
    f(grid())


@odd
def writes_a_file(r):
    log = io.StringIO()

    def f(x):
        print("to a file", file=log)
        log.write("written")
        return x * 2

    f = r.compile(f)
    f(grid())
    f(grid())
    r.see(log.getvalue())


@odd
def stack_is_read(r):
    def f(x):
        return x * 2, sys._getframe().f_code.co_name, inspect.currentframe() is not None

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def traceback_is_read(r):
    def f(x):
        try:
            raise ValueError("inner")
        except ValueError as error:
            lines = traceback.format_exception(error)
            return x * 2, lines[-1], sys.exc_info()[0] is ValueError

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def type_and_isinstance(r):
    def f(x):
        return (
            type(x) is torch.Tensor,
            isinstance(x, (int, torch.Tensor)),
            callable(x),
            hasattr(x, "grad"),
            getattr(x, "nothing", 5),
            dir(x)[:1],
            vars(type("T", (), {"k": 1}))["k"],
        )

    f = r.compile(f)
    f(grid())
    f(nn.Parameter(grid()))
    f(3)


@odd
def sorting_and_bisecting(r):
    def f(xs, ns):
        order = sorted(range(len(ns)), key=ns.__getitem__, reverse=True)
        ns.sort()
        return [xs[i] * 2 for i in order], ns, list(reversed(xs)), max(ns, key=lambda n: -n), min(ns, default=None)

    f = r.compile(f)
    for ns in ([3, 1, 2], [1], [5, 5, 1]):
        f([grid(i) for i in range(len(ns))], ns)


@odd
def string_of_a_module(r):
    net = nn.Linear(3, 2)
    f = r.compile(lambda x: (str(net), net.weight.shape, net.extra_repr(), net(x)))
    f(grid())


@odd
def global_interpreter_state(r):
    limit = sys.getrecursionlimit()

    def f(x):
        sys.setrecursionlimit(limit + 7)
        return x * 2

    f = r.compile(f)
    f(grid())
    r.see(sys.getrecursionlimit() == limit + 7)
    sys.setrecursionlimit(limit)
    f(grid())
    r.see(sys.getrecursionlimit() == limit + 7)
    sys.setrecursionlimit(limit)


@odd
def print_options(r):
    f = r.compile(lambda x: str(x / 3))
    f(grid())
    torch.set_printoptions(precision=2)
    f(grid())
    torch.set_printoptions(profile="default")
    f(grid())


@odd
def number_of_threads(r):
    f = r.compile(lambda x: (x * 2, torch.get_num_threads()))
    before = torch.get_num_threads()
    f(grid())
    torch.set_num_threads(2)
    f(grid())
    torch.set_num_threads(before)
    f(grid())


@odd
def default_device_changes(r):
    f = r.compile(lambda x: torch.ones(2).device.type)
    f(grid())
    torch.set_default_device("meta")
    try:
        f(grid())
    finally:
        torch.set_default_device(None)
    f(grid())


@odd
def function_mode(r):
    from torch.overrides import TorchFunctionMode

    class Doubles(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            return result * 2 if func is torch.sin else result

    f = r.compile(lambda x: torch.sin(x))
    f(grid())
    with Doubles():
        f(grid())
    f(grid())


@odd
def callbacks_in_a_list(r):
    log = []
    callbacks = [lambda x: log.append("one") or x + 1]
    f = r.compile(lambda x: functools.reduce(lambda v, c: c(v), callbacks, x))
    f(grid())
    callbacks.append(lambda x: log.append("two") or x * 2)
    f(grid())
    callbacks.reverse()
    f(grid())
    r.see(log)


@odd
def registry_by_decorator(r):
    registry = {}

    def register(g):
        registry[g.__name__] = g
        return g

    @register
    def a(x):
        return x + 1

    f = r.compile(lambda x, name: registry[name](x))
    f(grid(), "a")
    f(grid(), "b")

    @register
    def b(x):
        return x * 2

    f(grid(), "b")
    registry["a"] = b
    f(grid(), "a")


@odd
def many_versions(r):
    f = r.compile(lambda x, n: x * n + len(str(n)))
    for n in range(30):
        f(grid(), float(n) if n % 2 else n)


@odd
def many_kinds_of_a_flag(r):
    f = r.compile(lambda x, flag: x * 2 if flag == "go" else x + len(flag))
    for flag in ("go", "a", "bb", "go", "ccc", "dddd", "eeeee", "ffffff", "ggggggg", "hhhhhhhh", "iiiiiiiii", "go"):
        f(grid(), flag)
