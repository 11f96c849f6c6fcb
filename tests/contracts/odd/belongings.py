"""Objects of the library and of a user's own: containers, numbers, texts, copies, references, finalizers."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque

import torch
from torch import nn

from tests.contracts.odd.objects import Config
from tests.contracts.odd.recorder import grid, odd


class Metres(float):
    """A number with a unit."""

    unit = "m"

    def __mul__(self, other):
        return Metres(float(self) * other + 1000)

    __rmul__ = __mul__


class Level(int):
    """A number that adds in its own way."""

    def __add__(self, other):
        return other * 100


class Tag(str):
    """A text that is the same in all cases."""

    __slots__ = ()

    def __eq__(self, other):
        return str.__eq__(self.lower(), str(other).lower())

    __hash__ = str.__hash__


@odd
def weak_references_of_objects(r):
    class Held:
        pass

    held = Held()
    held.k = 3.0
    table = weakref.WeakKeyDictionary({held: 5.0})
    seen = weakref.ref(held)
    f = r.compile(lambda x: x * (seen().k if seen() is not None else -1.0) + len(table))
    f(grid())
    held.k = 4.0
    f(grid())
    del held
    gc.collect()
    f(grid())


@odd
def finalizers_run(r):
    gone = []

    class Held:
        def __del__(self):
            gone.append(1)

    def f(x):
        held = Held()
        held.x = x * 2
        return held.x + 1

    f = r.compile(f)
    for _ in range(2):
        f(grid())
        gc.collect()
        r.see(len(gone))


@odd
def copied_and_pickled_objects(r):
    def f(x, o):
        shallow, deep = copy.copy(o), copy.deepcopy(o)
        again = pickle.loads(pickle.dumps(o))
        shallow.names.append("shared")
        deep.names.append("own")
        return x * len(o.names) + len(deep.names), again

    f = r.compile(f)
    config = Config()
    for _ in range(2):
        f(grid(), config)
        r.see(config.names)


@odd
def deep_copy_of_tensors(r):
    def f(items):
        copied = copy.deepcopy(items)
        copied[0].add_(1)
        return copied, copied[0] is copied[1], items[0] * 2

    f = r.compile(f)
    x = grid()
    f([x, x])
    f([x, grid()])


@odd
def containers_of_the_library(r):
    def f(x, layered, counts, queue, ordered, table):
        counts.update([1, 1, 2])
        queue.rotate(1)
        queue.appendleft(x + 1)
        ordered.move_to_end("a")
        table["new"].append(x.shape[0])
        layered["k"] = layered["k"] + 1
        return x * layered["k"] + counts[1] + queue[0].sum(), list(ordered), counts.most_common(1)

    f = r.compile(f)
    layered, counts = ChainMap({}, {"k": 2.0}), Counter()
    queue, ordered, table = deque([1, 2], maxlen=3), OrderedDict(a=1, b=2), defaultdict(list)
    for _ in range(2):
        f(grid(), layered, counts, queue, ordered, table)
        r.see(dict(layered), counts, queue, ordered, dict(table))


@odd
def dict_of_a_users_own(r):
    class Loud(UserDict):
        def __missing__(self, key):
            self.data[key] = len(self.data) + 1.0
            return self.data[key]

    class Quiet(dict):
        def __missing__(self, key):
            return 7.0

    loud, quiet = Loud(), Quiet(a=1.0)
    f = r.compile(lambda x, k: x * loud[k] + quiet[k])
    for k in ("a", "b", "a"):
        f(grid(), k)
        r.see(loud.data, dict(quiet))


@odd
def list_of_a_users_own(r):
    class Noted(list):
        def append(self, value):
            super().append(value)
            super().append("noted")

    kept = Noted()

    def f(x, given):
        kept.append(x.shape[0])
        given.append(x * 2)
        return x * len(kept) + len(given)

    f = r.compile(f)
    given = Noted([1])
    for _ in range(2):
        f(grid(), given)
        r.see(list(kept), len(given))


@odd
def number_of_a_users_own(r):
    f = r.compile(lambda x, m, k: x * float(m * 2) + (k + 3) + len(m.unit))
    f(grid(), Metres(1.5), Level(2))
    f(grid(), Metres(2.5), Level(2))


@odd
def text_of_a_users_own(r):
    f = r.compile(lambda x, t: x * 2 if t == "Relu" else x - len(t))
    for t in (Tag("RELU"), Tag("relu"), "RELU", "Relu", Tag("gelu")):
        f(grid(), t)


@odd
def layers_of_a_users_own_kept(r):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))
            self.seen = []
            self.register_buffer("steps", torch.tensor(0))

        def forward(self, x):
            self.steps += 1
            self.seen.append(int(x.shape[0]))
            return x * self.w * len(self.seen)

    own = Own()
    f = r.compile(lambda x: own(x))
    for n in (1, 2, 2):
        f(torch.ones(n, 3))
        r.see(own.steps, own.seen)
    own.seen = []
    f(grid())
