"""Side effects that a compiler forgets: what is kept in classes, closures, caches, views of dicts and iterators."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import types
import warnings

import torch

from tests.contracts.odd.recorder import grid, odd

_SEEN: list[tuple[int, ...]] = []
_TOTAL = {"calls": 0}


class Registry:
    items: list[float] = []
    table: dict[str, int] = {}
    count = 0

    def __init__(self, k=1.0):
        self.k = k

    def note(self, x):
        Registry.items.append(self.k)
        type(self).table["rows"] = self.table.get("rows", 0) + x.shape[0]
        Registry.count += 1
        return x * self.k

    @classmethod
    def reset(cls):
        cls.items.clear()
        cls.table.clear()
        cls.count = 0


@odd
def list_of_a_class_grows(r):
    Registry.reset()
    o = Registry(2.0)
    f = r.compile(lambda x: o.note(x) + len(Registry.items))
    for _ in range(3):
        f(grid())
        r.see(Registry.items, Registry.table, Registry.count)
    o.k = 3.0
    f(grid())
    r.see(Registry.items)


@odd
def list_of_a_class_grows_from_a_subclass(r):
    class Own(Registry):
        items: list[float] = []

    Own.reset()
    Registry.items.clear()
    f = r.compile(lambda x: Own(4.0).note(x) * len(Own.items + Registry.items))
    f(grid())
    f(grid())
    r.see(Own.items, Registry.items, Own.count, Registry.count)
    Registry.reset()


@odd
def methods_of_a_local_class_note_in_a_closure(r):
    state, log = {"n": 0}, []

    def f(x):
        class Helper:
            def touch(self, y):
                state["n"] += 1
                state.setdefault("shapes", []).append(tuple(y.shape))
                log.append(y.ndim)
                return y * state["n"]

        return Helper().touch(x) + Helper().touch(x[:1])

    f = r.compile(f)
    for _ in range(2):
        f(grid())
        r.see(state, log)


@odd
def context_of_a_local_class_notes(r):
    depth = []

    def f(x):
        class Level:
            def __enter__(self):
                depth.append(len(depth))
                return len(depth)

            def __exit__(self, *_):
                depth.append(-1)

        with Level() as n, Level() as m:
            x = x * n + m
        return x + 0

    f = r.compile(f)
    f(grid())
    r.see(depth)
    f(grid())
    r.see(depth)


@odd
def cache_of_the_last_used(r):
    class Last:
        def __init__(self, size):
            self.size, self.kept = size, collections.OrderedDict()

        def get(self, key, make):
            if key in self.kept:
                self.kept[key] = self.kept.pop(key)
            else:
                self.kept[key] = make()
                if len(self.kept) > self.size:
                    self.kept.popitem(last=False)
            return self.kept[key]

    cache = Last(2)
    f = r.compile(lambda x, key: x * cache.get(key, lambda: torch.full((3,), float(len(key)))))
    for key in ("a", "bb", "a", "ccc", "bb", "a"):
        f(grid(), key)
        r.see(list(cache.kept))


@odd
def views_of_a_dict(r):
    def f(x, d):
        keys, values, items = d.keys(), d.values(), d.items()
        d["new"] = x.sum()
        total = sum(v for v in values)
        d |= {"later": total}
        return total, len(keys), [k for k, _ in items], "new" in keys

    f = r.compile(f)
    d = {"a": torch.ones(2, 3), "b": torch.zeros(2, 3)}
    f(grid(), d)
    f(grid(), d)
    r.see(d)


@odd
def dict_changed_while_it_is_gone_through(r):
    def f(x, d):
        for k in d:
            if k == "b":
                d["z"] = x
        return x * len(d)

    f = r.compile(f)
    d = {"a": 1, "b": 2, "c": 3}
    f(grid(), d)
    r.see(sorted(d))
    f(grid(), {"a": 1})


@odd
def list_changed_while_it_is_gone_through(r):
    def f(x, items):
        out = []
        for i, each in enumerate(items):
            if each % 2:
                items.remove(each)
            if i == 1 and len(items) < 6:
                items.append(10)
            out.append(x * each)
        return out

    f = r.compile(f)
    items = [1, 2, 3, 4, 5]
    f(grid(), items)
    r.see(items)
    f(grid(), items)
    r.see(items)


@odd
def iterator_of_a_global_counter(r):
    numbers = itertools.count(1)
    pairs = iter([("a", 1.0), ("b", 2.0), ("c", 3.0)])

    def f(x):
        n = next(numbers)
        name, k = next(pairs, ("end", 0.0))
        return x * n + k, name

    f = r.compile(f)
    for _ in range(4):
        f(grid())
    r.see(next(numbers), list(pairs))


@odd
def two_names_of_one_iterator(r):
    def f(x, it):
        return [x * a + b for a, b in zip(it, it, strict=False)], next(it, "none")

    f = r.compile(f)
    it = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    f(grid(), it)
    r.see(list(it))
    f(grid(), iter(range(4)))


@odd
def tee_and_groups(r):
    def f(x, items):
        first, second = itertools.tee(iter(items))
        next(first)
        groups = [(k, list(g)) for k, g in itertools.groupby(items, key=lambda n: n > 2)]
        return sum(x * (b - a) for a, b in zip(second, first, strict=False)), groups

    f = r.compile(f)
    f(grid(), [1, 2, 3, 5])
    f(grid(), [5, 1, 2])


@odd
def finally_overrides(r):
    log = []

    def inner(x, fail):
        try:
            log.append("try")
            if fail:
                raise ValueError("early")
            return x * 2
        except ValueError as error:
            log.append(str(error))
            return x * 3
        finally:
            log.append("finally")
            if x.shape[0] == 1:
                return x * 5  # noqa: B012 - that it overrides is the point

    f = r.compile(lambda x, fail: inner(x, fail) + 1)
    for fail in (False, True):
        f(grid(), fail)
        f(grid()[:1], fail)
    r.see(log)


@odd
def loop_with_finally_and_continue(r):
    log = []

    def f(x, n):
        for i in range(n):
            try:
                if i == 1:
                    continue
                if i == 3:
                    break
                x = x + i
            finally:
                log.append(i)
        else:
            log.append("else")
        return x

    f = r.compile(f)
    for n in (2, 5, 0):
        f(grid(), n)
        r.see(log)


@odd
def exception_keeps_what_was_done(r):
    def f(x, box):
        box.before = x.sum()
        box.items.append("a")
        if x.shape[0] > 2:
            box.items.append("b")
            raise KeyError(("rows", x.shape[0]))
        box.after = box.before * 2
        return box.after

    f = r.compile(f)
    for rows in (2, 3, 1):
        box = types.SimpleNamespace(before=None, after=None, items=[])
        f(torch.ones(rows, 3), box)
        r.see(box.before, box.after, box.items)


@odd
def suppressed_and_closed(r):
    log = []

    class Closing:
        def close(self):
            log.append("closed")

    def f(x):
        with contextlib.suppress(ZeroDivisionError):
            log.append("in")
            x = x / (1 // (x.shape[0] - 2))
            log.append("not reached at two rows")
        with contextlib.closing(Closing()):
            x = x + 1
        return x * 2

    f = r.compile(f)
    f(grid())
    f(torch.ones(3, 3))
    f(grid())
    r.see(log)


@odd
def stack_of_callbacks(r):
    log = []

    def f(x, n):
        with contextlib.ExitStack() as stack:
            for i in range(n):
                stack.callback(log.append, i)
            kept = stack.pop_all() if n > 2 else None
            x = x * n
        if kept is not None:
            kept.close()
        return x

    f = r.compile(f)
    for n in (1, 3, 2):
        f(grid(), n)
    r.see(log)


@odd
def identity_decides(r):
    first, second = types.SimpleNamespace(hits=0), types.SimpleNamespace(hits=0)
    current = [first]

    def f(x, o):
        if o is current[0]:
            o.hits += 1
            return x * 2
        o.hits -= 1
        return x * 3

    f = r.compile(f)
    for o in (first, second, first):
        f(grid(), o)
    current[0] = second
    for o in (first, second):
        f(grid(), o)
    r.see(first.hits, second.hits)


@odd
def equal_but_not_the_same_text(r):
    f = r.compile(lambda x, a, b: (x * 2 if a is b else x * 3, a == b))
    a = "-".join(list("scale"))
    f(grid(), a, a)
    f(grid(), a, "-".join(list("scale")))
    big = int("1000000007")
    f(grid(), big, big)
    f(grid(), big, int("1000000007"))


@odd
def global_list_and_counter(r):
    _SEEN.clear()
    _TOTAL["calls"] = 0

    def f(x):
        _SEEN.append(tuple(x.shape))
        _TOTAL["calls"] += 1
        if len(_SEEN) > 2:
            _SEEN.pop(0)
        return x * _TOTAL["calls"]

    f = r.compile(f)
    for rows in (2, 3, 4, 4):
        f(torch.ones(rows, 3))
        r.see(_SEEN, _TOTAL)


@odd
def generator_with_its_own_state(r):
    def running():
        total = 0.0
        while True:
            got = yield total
            total += got

    g = running()
    next(g)
    f = r.compile(lambda x: x * g.send(x.shape[0]))
    for rows in (1, 2, 3):
        f(torch.ones(rows, 3))
    r.see(g.send(0))


@odd
def generator_closed_in_the_middle(r):
    log = []

    def rows(x):
        try:
            for each in x:
                log.append("gives")
                yield each
        finally:
            log.append("closed")

    def f(x):
        for each in rows(x):
            if each.shape[0] == 3:
                return each * 2
        return x

    f = r.compile(f)
    f(grid())
    r.see(log)
    f(grid())
    r.see(log)


@odd
def warning_told_once(r):
    told = set()

    def f(x, name):
        if name not in told:
            told.add(name)
            warnings.warn(f"{name} is old", DeprecationWarning, stacklevel=1)
        return x + len(told)

    f = r.compile(f)
    for name in ("a", "b", "a", "c"):
        f(grid(), name)
    r.see(sorted(told))


@odd
def function_replaces_itself(r):
    table = {}

    def slow(x):
        table["run"] = quick
        return x * 2

    def quick(x):
        return x * 3

    table["run"] = slow
    f = r.compile(lambda x: table["run"](x))
    for _ in range(3):
        f(grid())
    table["run"] = slow
    f(grid())


@odd
def counter_by_a_decorator(r):
    def counted(function):
        @functools.wraps(function)
        def wrapper(*args):
            wrapper.calls += 1
            wrapper.last = [a.shape[0] for a in args]
            return function(*args) * wrapper.calls

        wrapper.calls, wrapper.last = 0, None
        return wrapper

    @counted
    def g(x):
        return x + 1

    f = r.compile(g)
    for _ in range(3):
        f(grid())
    r.see(g.calls, g.last)
    g.calls = 10
    f(grid())
    r.see(g.calls)


@odd
def attribute_deleted_inside(r):
    def f(x, o):
        k = getattr(o, "k", 1.0)
        if hasattr(o, "k"):
            del o.k
        else:
            o.k = 5.0
        return x * k

    f = r.compile(f)
    o = types.SimpleNamespace(k=2.0)
    for _ in range(4):
        f(grid(), o)
        r.see(vars(o))


@odd
def sorted_in_place_by_a_key_that_notes(r):
    log = []

    def key(pair):
        log.append(pair[0])
        return -pair[1]

    def f(x, pairs):
        pairs.sort(key=key)
        pairs.reverse()
        return x * pairs[0][1], max(pairs, key=key)[0]

    f = r.compile(f)
    pairs = [("a", 1), ("b", 3), ("c", 2)]
    f(grid(), pairs)
    r.see(pairs, log)
    pairs[0] = ("z", 9)
    f(grid(), pairs)
    r.see(pairs, log)


@odd
def short_circuit_with_effects(r):
    log = []

    def told(name, value):
        log.append(name)
        return value

    def f(x, a, b):
        if told("a", a) and told("b", b) or told("c", not a):
            x = x + 1
        y = all(told(i, i < 2) for i in range(4)), any(told(-i, i > 1) for i in range(4))
        return x, y

    f = r.compile(f)
    for a, b in ((True, False), (False, True), (True, True)):
        f(grid(), a, b)
    r.see(log)
