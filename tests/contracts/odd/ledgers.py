"""What is put down while computing: counters, caches, logs, lists that change under a loop, numbers, texts, frames."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import inspect
import itertools
import logging
import pickle
import queue
import random
import sys
import threading
import time
import warnings
import weakref

import numpy as np
import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

_CALLS = {"f": 0}
_HISTORY: list = []


@odd
def calls_are_counted_by_name(r):
    def counted(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            _CALLS[function.__name__] = _CALLS.get(function.__name__, 0) + 1
            inner.last = kwargs
            return function(*args, **kwargs)

        return inner

    @counted
    def scale(x, *, by=2.0):
        return x * by * _CALLS["scale"]

    f = r.compile(lambda x, **named: scale(x, **named))
    _CALLS.clear()
    f(grid())
    f(grid(), by=3.0)
    f(grid(), by=3.0)
    r.see(_CALLS, scale.last)


@odd
def default_list_collects(r):
    def f(x, seen=[], table={"n": 0}):  # noqa: B006 - that is what is tested
        seen.append(x.shape[0])
        table["n"] += len(seen)
        return x * table["n"], seen

    f = r.compile(f)
    f(grid())
    f(torch.ones(4, 2))
    f(grid(), [7])
    f(grid())


@odd
def memo_by_shape_and_value(r):
    memo, made = {}, []

    def mask(n, dtype):
        if (n, dtype) not in memo:
            made.append(n)
            memo[n, dtype] = torch.ones(n, n, dtype=dtype).tril()
        return memo[n, dtype]

    f = r.compile(lambda x: x @ mask(x.shape[-1], x.dtype))
    f(grid())
    f(grid())
    f(torch.ones(2, 5))
    memo[3, torch.float32] = torch.zeros(3, 3)
    f(grid())
    f(grid().double())
    r.see(made, len(memo))


@odd
def cached_with_tensors_and_cleared(r):
    made = []

    @functools.lru_cache(maxsize=2)
    def table(n):
        made.append(n)
        return torch.arange(float(n))

    f = r.compile(lambda x, n: x[:, :n] * table(n))
    for n in (3, 2, 3, 1, 3, 2):
        f(grid(), n)
        r.see(list(made), table.cache_info())
    table.cache_clear()
    f(grid(), 3)
    table(3).mul_(10)
    f(grid(), 3)
    r.see(made)


class Model:
    def __init__(self):
        self.loads = 0

    @functools.cached_property
    def weights(self):
        self.loads += 1
        return torch.full((3,), float(self.loads))


@odd
def property_is_cached_until_deleted(r):
    model = Model()
    f = r.compile(lambda x: x * model.weights)
    f(grid())
    f(grid())
    r.see(model.loads, "weights" in vars(model))
    del model.weights
    f(grid())
    r.see(model.loads)
    model.__dict__["weights"] = torch.zeros(3)
    f(grid())
    r.see(model.loads)


@odd
def list_grows_while_it_is_walked(r):
    def f(x, limit):
        todo, done = [1], []
        for n in todo:
            if n < limit:
                todo.extend([n * 2, n * 2 + 1])
            done.append(n)
        table = dict.fromkeys(done[:3], 0)
        try:
            for key in table:
                table[key + 100] = 1
        except RuntimeError as error:
            done.append(str(error))
        for n in list(todo):
            todo.remove(n)
        return x * len(done), done, todo

    f = r.compile(f)
    f(grid(), 3)
    f(grid(), 5)


@odd
def sets_in_their_order(r):
    def f(x, names):
        unique = set(names)
        small = {n for n in range(20) if n % 3 == 0}
        return x * len(unique), sorted(unique), list(small), small ^ {3, 100}, frozenset(names) == unique, unique.pop()

    f = r.compile(f)
    f(grid(), ["a", "a"])
    f(grid(), ("b",))


class Note:
    def __init__(self, text):
        self.text = text


@odd
def weak_values_vanish(r):
    notes = weakref.WeakValueDictionary()
    kept = [Note("a"), Note("b")]
    for note in kept:
        notes[note.text] = note
    f = r.compile(lambda x: (x * len(notes), sorted(notes), notes.get("b") is not None))
    f(grid())
    kept.pop()
    del note
    f(grid())
    kept.append(Note("c"))
    notes["c"] = kept[-1]
    f(grid())


@odd
def random_numbers_of_everyone(r):
    own = random.Random(5)
    generator = np.random.default_rng(1)

    def f(x, k):
        a = random.choice([1, 2, 3])
        b = own.gauss(0, 1)
        c = float(generator.normal())
        order = list(range(4))
        random.shuffle(order)
        picked = random.sample(order, k=2)
        d = np.random.randint(0, 5)
        return x * a + b, c, order, picked, int(d), torch.rand(2) * k

    f = r.compile(f)
    f(grid(), 1)
    random.seed(3)
    f(grid(), 2)
    own.seed(5)
    f(grid(), 2)


@odd
def logger_with_its_own_rules(r):
    log = logging.getLogger("odd")

    def f(x, k):
        log.info("k is %s and shape %s", k, tuple(x.shape))
        if log.isEnabledFor(logging.DEBUG):
            log.debug("sum %.3f", x.sum().item())
        try:
            1 / k
        except ZeroDivisionError:
            log.exception("division")
        return x + k

    f = r.compile(f)
    f(grid(), 1)
    log.setLevel(logging.INFO)
    f(grid(), 0)
    log.disabled = True
    f(grid(), 1)
    log.disabled = False
    log.setLevel(logging.DEBUG)
    f(grid(), 2)


@odd
def warnings_that_are_counted(r):
    def f(x, k):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if k > 1:
                warnings.warn(f"k is {k}", DeprecationWarning, stacklevel=1)
            warnings.warn("each time", stacklevel=1)
        return x * len(caught), [str(w.message) for w in caught], [w.category.__name__ for w in caught]

    f = r.compile(f)
    f(grid(), 1)
    f(grid(), 2)
    f(grid(), 3)


@odd
def prints_between_operations(r):
    def f(x, verbose):
        y = x.relu()
        if verbose:
            print("mean", y.mean().item(), end="; ")
            print(f"{y[0]} {y.shape!s:>20}", y.dtype, sep="|")
        z = y.cumsum(-1)
        print(len(z), file=sys.stdout, flush=True)
        return z

    f = r.compile(f)
    f(grid(), True)
    f(-grid(), False)
    f(grid().double(), True)


@odd
def time_is_measured_inside(r):
    spent = []

    def f(x):
        start = time.perf_counter()
        y = x.exp().sum(-1)
        spent.append(time.perf_counter() - start)
        return y

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        time.sleep(0.001)
    r.see(len(spent), all(s >= 0 for s in spent), len(set(spent)))


@odd
def frames_and_signatures_are_read(r):
    def caller():
        return sys._getframe(1).f_code.co_name

    def helper(x, a, /, b=2, *rest, c, **named):
        return x * b

    def f(x):
        here = inspect.currentframe().f_code.co_name
        bound = inspect.signature(helper).bind(x, 1, c=3)
        bound.apply_defaults()
        return helper(*bound.args, **bound.kwargs), here, caller(), list(bound.arguments)

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def code_is_made_from_text(r):
    space = {}

    def f(x, text):
        value = eval(text, {"x": x, "torch": torch})
        exec(f"def made(y): return y + {len(text)}", space)
        return space["made"](value)

    f = r.compile(f)
    f(grid(), "x * 2")
    f(grid(), "torch.relu(-x)")
    f(grid(), "x *")


_REQUEST = contextvars.ContextVar("request", default="none")


@odd
def async_steps_in_order(r):
    log = []

    async def stage(x, k):
        log.append(f"begin {k} {_REQUEST.get()}")
        await asyncio.sleep(0)
        log.append(f"end {k}")
        return x * k

    def f(x, n):
        token = _REQUEST.set(f"r{n}")

        async def main():
            return await asyncio.gather(*(stage(x, k) for k in range(1, n + 1)))

        try:
            return asyncio.run(main())
        finally:
            _REQUEST.reset(token)

    f = r.compile(f)
    f(grid(), 2)
    f(grid(), 1)
    r.see(log, _REQUEST.get())


@odd
def thread_feeds_a_queue(r):
    def f(x, n):
        results: queue.Queue = queue.Queue()

        def work():
            for k in range(n):
                results.put(x * k)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return sum(results.get() for _ in range(n))

    f = r.compile(f)
    f(grid(), 2)
    f(grid(), 3)


@odd
def numbers_keep_their_kinds(r):
    def f(x, a, b):
        big = (a + 2**62) * 4
        return (
            x * a,
            a / b,
            a // b,
            a % b,
            divmod(a, b),
            a**b,
            big,
            round(a / 3, 2),
            True + a,
            a & 3,
            -a // 2,
            int("7") * a,
        )

    f = r.compile(f)
    f(grid(), 7, 2)
    f(grid(), -7, 2)
    f(grid(), 2**40, 3)
    f(grid(), 7, -2)
    f(grid(), True, 2)
    f(grid(), 7, 0)


@odd
def floats_are_written_as_python_writes(r):
    def f(x, a):
        b = a * 3
        return x * b, f"{b:.3g} {b!r} {b:e} {b:>10.2f} {a:%}", b.is_integer(), a.hex(), str(a / 7), b == 0.3

    f = r.compile(f)
    f(grid(), 0.1)
    f(grid(), 2.0)
    f(grid(), 1e22)
    f(grid(), float("inf"))


@odd
def copies_of_state_inside(r):
    state = {"layers": [torch.ones(3), torch.zeros(3)], "step": 0}
    state["again"] = state["layers"][0]

    def f(x):
        saved = copy.deepcopy(state)
        state["step"] += 1
        state["layers"][0].add_(1)
        saved["layers"][0].mul_(5)
        return x * saved["again"] + state["again"], saved["again"] is saved["layers"][0], saved["step"]

    f = r.compile(f)
    f(grid())
    f(grid())
    r.see(state)


@odd
def pickled_and_read_again(r):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    f = r.compile(module)
    f(grid())
    again = pickle.loads(pickle.dumps(module))
    with torch.no_grad():
        module[0].weight.zero_()
    f(grid())
    r.see(again(grid()))


@odd
def generators_chained_and_half_used(r):
    def numbers(n, log):
        try:
            for k in range(n):
                sent = yield k
                if sent:
                    log.append(sent)
        finally:
            log.append("closed")

    def f(x, n):
        log = []
        source = numbers(n, log)
        next(source)
        got = source.send("hello") if n > 1 else None
        rest = itertools.takewhile(lambda k: k < 3, source)
        total = sum(x * k for k in rest)
        left = next(source, "none")
        source.close()
        return total, got, left, log

    f = r.compile(f)
    f(grid(), 6)
    f(grid(), 1)
    f(grid(), 3)


@odd
def history_is_global_and_trimmed(r):
    def f(x):
        global _HISTORY
        _HISTORY.append(float(x.sum()))
        _HISTORY = _HISTORY[-2:]
        return x - sum(_HISTORY) / len(_HISTORY)

    _HISTORY.clear()
    f = r.compile(f)
    for k in (1.0, 2.0, 3.0):
        f(grid() * k)
    r.see(_HISTORY)


@odd
def tracebacks_name_their_lines(r):
    def inner(x, k):
        if k == 1:
            raise KeyError("missing")
        return x / {2: 1}[k]

    def f(x, k):
        try:
            return inner(x, k)
        except KeyError as error:
            names, trace = [], error.__traceback__
            while trace is not None:
                names.append(trace.tb_frame.f_code.co_name)
                trace = trace.tb_next
            raise ValueError(f"no {k}", names[-1]) from error

    f = r.compile(f)
    f(grid(), 2)
    f(grid(), 1)
    f(grid(), 3)
