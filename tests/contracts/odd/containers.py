"""Containers and what goes through them: who is one object, what is found, counted, ordered, made when missing."""

from __future__ import annotations

import abc
import bisect
import collections
import contextlib
import functools
import heapq
import io
import itertools
import operator
import typing

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


@odd
def lists_that_are_one_list(r):
    f = r.compile(lambda x, a, b: (x * 2 if a is b else x * 3, a == b, [a, b, a].index(b)))
    one, other = [1, 2], [1, 2]
    f(grid(), one, one)
    f(grid(), one, other)
    f(grid(), other, other)
    pair = (1.5, "a")
    f(grid(), pair, pair)
    f(grid(), pair, (pair[0], "a"))


@odd
def objects_asked_who_they_are(r):
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    state = {"active": first, "spare": second}

    def f(x):
        same = state["active"] is state["spare"]
        return x * (2 if same else 3), state["active"] is first

    f = r.compile(f)
    f(grid())
    state["spare"] = first
    f(grid())
    state["active"] = second
    f(grid())


@odd
def tensors_found_in_lists(r):
    def f(x, k):
        items = [k, x.sum(), 3.0]
        found = [items.count(3.0), 3.0 in items, items.index(3.0), k in (21.0, 5)]
        items.remove(3.0)
        return x * 2, found, len(items)

    f = r.compile(f)
    f(grid(), torch.tensor(3.0))
    f(grid(), torch.tensor(4.0))
    f(grid(), 21.0)


@odd
def number_sought_among_tensors(r):
    f = r.compile(lambda x, k: (x * 2, 2.0 in [k, k], 2.0 in (k, 5.0)))
    f(grid(), torch.tensor(2.0))
    f(grid(), torch.tensor(3.0))


class Defaults(dict):
    def __missing__(self, key):
        self[key] = len(self) * 1.0
        return self[key]


@odd
def keys_that_were_missing(r):
    table = Defaults()
    groups = collections.defaultdict(list)

    def f(x, key):
        groups[key].append(x.shape[0])
        return x * table[key] + table.get("none", 5.0), len(groups), dict(groups)

    f = r.compile(f)
    for key in ("a", "b", "a", ("c", 1)):
        f(grid(), key)
    r.see(table, groups)


@odd
def heap_and_bisection(r):
    def f(x, scores):
        heap = list(scores)
        heapq.heapify(heap)
        least = heapq.heappop(heap)
        heapq.heappush(heap, 2.5)
        ordered = sorted(scores)
        bisect.insort(ordered, 2.0)
        return x * least, heap, bisect.bisect_left(ordered, 2.0), heapq.nlargest(2, scores)

    f = r.compile(f)
    f(grid(), [3.0, 1.0, 2.0])
    f(grid(), [0.5, 2.0])


@odd
def iterators_in_one_another(r):
    def f(x, n):
        pairs = zip(range(n), itertools.count(10, 5), "abc", strict=False)
        evens = [*itertools.compress("wxyz", itertools.cycle([1, 0]))]
        sums = list(itertools.accumulate([x[0], x[1], x[0]], initial=torch.zeros(3)))
        steps = list(iter(iter([1, 2, 0, 4]).__next__, 0))
        chunks = [len(list(g)) for _, g in itertools.groupby(sorted("aabbb"))]
        return sums[-1], list(pairs), evens, steps, chunks, list(itertools.pairwise(range(n)))

    f = r.compile(f)
    f(grid(), 2)
    f(grid(), 4)


@odd
def any_and_all_stop_early(r):
    seen = []

    def look(k):
        seen.append(k)
        return k > 1

    def f(x, n):
        a = any(look(k) for k in range(n))
        b = all(look(k) for k in range(n))
        c = next((k for k in range(n) if look(k)), "none")
        return x * (a + 2 * b), c, min([], default=7), max((k for k in range(n)), default=-1)

    f = r.compile(f)
    for n in (3, 1, 0, 5):
        f(grid(), n)
        r.see(list(seen))


@odd
def zip_that_is_strict(r):
    def f(x, names):
        try:
            return x * len(list(zip(x, names, strict=True))), None
        except ValueError as error:
            return x, str(error)

    f = r.compile(f)
    f(grid(), ["a", "b"])
    f(grid(), ["a"])
    f(grid(), "ab")


@functools.total_ordering
class Version:
    asked: typing.ClassVar[list] = []

    def __init__(self, major):
        self.major = major

    def __eq__(self, other):
        Version.asked.append("eq")
        return self.major == other.major

    def __lt__(self, other):
        Version.asked.append("lt")
        return self.major < other.major

    __hash__ = None


@odd
def ordering_that_is_derived(r):
    Version.asked.clear()

    def f(x, a, b):
        ordered = sorted([a, b, Version(2)])
        return x * (a >= b) + (a <= b), [v.major for v in ordered], a != b

    f = r.compile(f)
    f(grid(), Version(1), Version(3))
    f(grid(), Version(3), Version(3))
    r.see(Version.asked)


class Plugin(abc.ABC):
    kinds: typing.ClassVar[dict] = {}

    def __init_subclass__(cls, /, name="", **named):
        super().__init_subclass__(**named)
        Plugin.kinds[name or cls.__name__] = cls

    @classmethod
    def __class_getitem__(cls, name):
        return cls.kinds[name]()

    @abc.abstractmethod
    def apply(self, x): ...


@odd
def classes_that_register_themselves(r):
    Plugin.kinds.clear()

    class Double(Plugin, name="double"):
        def apply(self, x):
            return x * 2

    def f(x, name):
        try:
            return Plugin[name].apply(x), sorted(Plugin.kinds)
        except (KeyError, TypeError) as error:
            return type(error).__name__

    f = r.compile(f)
    f(grid(), "double")
    f(grid(), "halve")

    class Halve(Plugin, name="halve"):
        def apply(self, x):
            return x / 2

    class Broken(Plugin):
        pass

    f(grid(), "halve")
    f(grid(), "Broken")


class Point(typing.NamedTuple):
    x: torch.Tensor
    y: float = 0.5

    @property
    def scaled(self):
        return self.x * self.y

    def moved(self, by):
        return self._replace(y=self.y + by)


@odd
def named_tuples_with_methods(r):
    def f(point):
        moved = point.moved(1.0)
        _, y = moved
        return moved, moved.scaled, point == point[:], type(moved).__name__, moved._asdict(), y

    f = r.compile(f)
    f(Point(grid()))
    f(Point(grid(), 2.0))
    f(Point(y=3.0, x=grid()))


@odd
def outputs_are_redirected(r):
    def f(x, k):
        buffer = io.StringIO()
        with contextlib.redirect_stdout(buffer), contextlib.suppress(KeyError):
            print("k", k)
            {}[k]
            print("never")
        with contextlib.nullcontext(k) as same:
            y = x * same
        print("after", buffer.getvalue().strip())
        return y, buffer.getvalue()

    f = r.compile(f)
    f(grid(), 2)
    f(grid(), 3)


@odd
def context_that_yields_twice(r):
    log = []

    @contextlib.contextmanager
    def retry(name):
        log.append(f"open {name}")
        try:
            yield name
        except ValueError as error:
            log.append(f"caught {error}")
        else:
            log.append("fine")
        finally:
            log.append(f"close {name}")

    def f(x, k):
        with retry("a") as name, retry("b"):
            if k:
                raise ValueError(k)
            x = x * 2
        return x, name

    f = r.compile(f)
    for k in (0, 1, 0):
        f(grid(), k)
        r.see(list(log))


@odd
def closures_share_a_variable(r):
    def make():
        total = 0.0

        def add(k):
            nonlocal total
            total += k
            return total

        def reset():
            nonlocal total
            before, total = total, 0.0
            return before

        return add, reset

    add, reset = make()
    callbacks = [lambda k=k: k * 10 for k in range(3)]

    def f(x, k):
        y = x * add(k)
        if k > 2:
            y = y + reset()
        return y, [c() for c in callbacks]

    f = r.compile(f)
    for k in (1.0, 2.0, 3.0, 1.0):
        f(grid(), k)
    r.see(reset())


@odd
def exception_with_notes_and_no_cause(r):
    class Odd(Exception):
        def __init__(self, code, x):
            super().__init__(f"code {code}")
            self.code, self.shape = code, tuple(x.shape)

    def f(x, k):
        try:
            if k > 1:
                raise Odd(k, x)
        except Odd as error:
            error.add_note("while scaling")
            if error.code > 2:
                raise RuntimeError("large") from None
            raise
        return x * k

    f = r.compile(f)
    for k in (1, 2, 3, 1):
        f(grid(), k)


@odd
def deleted_names_and_loops_with_else(r):
    def f(x, limit):
        for k in range(5):
            if k == limit:
                found = k
                break
        else:
            found = -1
        while limit:
            limit -= 1
        found += 100
        try:
            del k
            return x * k
        except UnboundLocalError as error:
            return x * found, type(error).__name__

    f = r.compile(f)
    f(grid(), 2)
    f(grid(), 9)


@odd
def sums_and_products_of_lists(r):
    def f(x, weights):
        total = sum(w * row for w, row in zip(weights, x, strict=True))
        product = functools.reduce(operator.mul, [*x, 2.0])
        stacked = torch.stack([*map(torch.add, x, weights)])
        first, *_, last = x
        return total, product, stacked, first, last, sum([], 3), sum(weights) / len(weights)

    f = r.compile(f)
    f(grid(), [1.0, 2.0])
    f(grid(), (2, 3))
    f(grid(), torch.tensor([1.0, 2.0]))


@odd
def slices_as_objects(r):
    f = r.compile(lambda x, s, i: (x[:, s], x[i], s.indices(3), [1, 2, 3][s]))
    f(grid(), slice(1, None), 0)
    f(grid(), slice(None, None, 2), -1)
    f(grid(), slice(5, 9), (1, ...))
    f(grid(), slice(None), ...)
    f(grid(), slice(0, 1), None)


@odd
def ordered_dict_is_reordered(r):
    table = collections.OrderedDict(a=1.0, b=2.0, c=3.0)

    def f(x):
        key, value = table.popitem(last=False)
        table[key] = value + 1
        return x * value + sum(v * i for i, v in enumerate(table.values())), list(table), key

    f = r.compile(f)
    for _ in range(4):
        f(grid())
    r.see(table)


@odd
def texts_choose_what_is_done(r):
    def f(x, plan):
        for step in plan.split("|"):
            name, _, argument = step.strip().partition(":")
            call = getattr(x, name) if hasattr(x, name) else getattr(torch, name)
            x = call(float(argument)) if argument else call()
        return x, plan.title().replace("|", "/")

    f = r.compile(f)
    f(grid(), "mul:2 | relu")
    f(grid(), "sub:3|abs")
    f(grid(), "nothing:1")
    f(grid(), "sum")
