"""What users of compilers reported of containers and control: lists that grow, iterators half used, errors."""

from __future__ import annotations

import bisect
import collections
import functools
import heapq
import itertools
import logging
import random
import warnings

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

_WEIGHTS = {"a": 2.0}
_LOG = logging.getLogger("odd.reported")


@odd
def list_that_grows_while_it_is_read(r):
    def f(x):
        values = [x.sum()]

        def grow():
            for value in values:
                if len(values) < 3:
                    values.append(value + 1)
                yield value

        return torch.stack(list(grow())).sum(), len(values)

    f = r.compile(f)
    f(grid())
    f(grid(-1.0))


@odd
def reversed_and_half_used(r):
    def f(x):
        back = reversed([1.0, 2.0, 3.0, 4.0])
        first = next(back)
        rest = list(iter(back))
        return x * first + sum(rest), rest, list(back)

    f = r.compile(f)
    f(grid())


@odd
def iterator_from_outside(r):
    numbers = iter([1.0, 2.0, 3.0])

    def f(x):
        return x * next(numbers, -1.0)

    f = r.compile(f)
    for _ in range(5):
        f(grid())
    r.see(list(numbers))


@odd
def generator_that_is_sent_to(r):
    def average():
        total, count = 0.0, 0
        value = yield 0.0
        while True:
            total, count = total + value, count + 1
            value = yield total / count

    running = average()
    next(running)

    def f(x):
        return x * running.send(float(x.shape[0]))

    f = r.compile(f)
    f(grid())
    f(grid()[:1])
    f(grid())
    r.see(running.send(10.0))


@odd
def finally_that_overrides(r):
    seen = []

    def inner(x, early):
        try:
            if early:
                return x * 2
            raise ValueError("late")
        except ValueError as error:
            seen.append(str(error))
            return x * 3
        finally:
            seen.append("done")
            if len(seen) > 4:
                return x * 100  # noqa: B012 - that it overrides is the point

    f = r.compile(lambda x, early: inner(x, early))
    for early in (True, False, True, False):
        f(grid(), early)
        r.see(list(seen))


@odd
def error_with_a_cause(r):
    def f(x, key):
        try:
            return x * _WEIGHTS[key]
        except KeyError as error:
            raise RuntimeError(f"no {key}") from error

    f = r.compile(f)
    f(grid(), "a")
    f(grid(), "b")
    _WEIGHTS["b"] = 4.0
    f(grid(), "b")
    del _WEIGHTS["b"]
    f(grid(), "b")


@odd
def error_group_of_steps(r):
    done = []

    def f(x):
        found = []
        for k in (1, 0, 2):
            try:
                done.append(6 // k)
            except ZeroDivisionError as error:
                found.append(error)
        if found and len(done) > 3:
            raise ExceptionGroup("steps", found)
        return x * done[-1]

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(done)


@odd
def heap_that_is_kept(r):
    heap = [3.0, 5.0]

    def f(x, value):
        heapq.heappush(heap, value)
        return x * heapq.heappop(heap), heap[0]

    f = r.compile(f)
    for value in (4.0, 1.0, 9.0, 2.0):
        f(grid(), value)
    r.see(heap)


@odd
def bisected_schedule(r):
    milestones, rates = [2, 4], [1.0, 0.5, 0.25]

    def f(x, step):
        return x * rates[bisect.bisect_right(milestones, step)]

    f = r.compile(f)
    for step in (0, 2, 3, 4):
        f(grid(), step)
    milestones[0] = 1
    f(grid(), 1)


@odd
def counter_of_shapes(r):
    shapes = collections.Counter()

    def f(x):
        shapes[x.shape] += 1
        shapes.update(rows=x.shape[0])
        (most, times), *_ = shapes.most_common(1)
        return x * times, str(most)

    f = r.compile(f)
    for x in (grid(), grid()[:1], grid()):
        f(x)
    r.see(sorted(map(str, shapes.items())), shapes.total())


@odd
def default_dict_that_makes_tensors(r):
    sums = collections.defaultdict(lambda: torch.zeros(3))

    def f(x, name):
        sums[name] = sums[name] + x.sum(0)
        return sums[name] * len(sums)

    f = r.compile(f)
    for name in ("a", "b", "a"):
        f(grid(), name)
    r.see(dict(sums))


@odd
def ring_of_the_last(r):
    last = collections.deque([0.0], maxlen=2)

    def f(x):
        last.append(last[-1] + 1)
        last.rotate(1)
        return x * sum(last), last.maxlen

    f = r.compile(f)
    for _ in range(4):
        f(grid())
        r.see(list(last))


@odd
def pairs_and_batches(r):
    def f(xs):
        pairs = [a * b for a, b in itertools.pairwise(xs)]
        grouped = {k: len(list(g)) for k, g in itertools.groupby(x.shape[0] for x in xs)}
        whole = functools.reduce(torch.add, itertools.chain(pairs, xs))
        return whole, grouped, list(itertools.accumulate(range(len(xs)), initial=1))

    f = r.compile(f)
    f([grid(), grid(-1.0), grid()])
    f([grid(), grid()])


@odd
def shuffled_inside(r):
    order = [1.0, 2.0, 3.0, 4.0]

    def f(x):
        random.shuffle(order)
        return x * order[0] + random.choice(order) + random.gauss(0.0, 1.0)

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(list(order))


@odd
def warned_once_for_each_line(r):
    def f(x, level):
        if level > 1:
            warnings.warn(f"level {level}", UserWarning, stacklevel=2)
        _LOG.info("level %d of %s", level, tuple(x.shape))
        return x * level

    f = r.compile(f)
    for level in (1, 2, 2, 3):
        f(grid(), level)


@odd
def walrus_and_match(r):
    def f(x, command):
        match command:
            case ["scale", float(by)] if (twice := by * 2) > 1:
                return x * twice
            case {"shift": by, **rest}:
                return x + by + len(rest)
            case str() as word:
                return x * len(word)
            case _:
                return -x

    f = r.compile(f)
    for command in (["scale", 2.0], ["scale", 0.25], {"shift": 1.0, "a": 0}, "four", None):
        f(grid(), command)


@odd
def dict_changes_while_it_is_read(r):
    table = {"a": 1.0, "b": 2.0}

    def f(x, grow):
        for name in table:  # noqa: PLC0206 - it is looked up while the dict changes
            x = x * table[name]
            if grow:
                table[f"{name}2"] = 3.0
        return x

    f = r.compile(f)
    f(grid(), False)
    f(grid(), True)
    r.see(table)
    f(grid(), False)


@odd
def sets_of_names(r):
    frozen, active = frozenset({"a"}), {"a", "b"}

    def f(x):
        try:
            active.remove("c")
        except KeyError:
            active.add("c")
        return x * len(active - frozen) + len(active ^ {"z"}), active >= frozen

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(active)
    active.update("xyz")
    f(grid())


@odd
def stop_iteration_and_else(r):
    layers = [nn.Identity(), nn.ReLU()]

    def f(x, limit):
        steps = iter(layers)
        count = 0
        while True:
            try:
                x = next(steps)(x)
            except StopIteration:
                break
            count += 1
            if count >= limit:
                break
        else:
            x = x * 100
        for _ in range(count):
            x = x + 1
        x = x * 2
        return x, count

    f = r.compile(f)
    f(grid(-1.0), 5)
    layers.append(nn.Tanh())
    f(grid(-1.0), 5)
    f(grid(-1.0), 1)
