"""Classes of a user: descriptors, dataclasses, tuples with names, enums, what dispatches and matches."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import heapq
import itertools
import operator
import typing

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


class _Lazy:
    def __init__(self, fn):
        self.fn = fn

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, obj, owner=None):
        if obj is None:
            return self
        value = obj.__dict__[self.name] = self.fn(obj)
        return value


class _Basis:
    made = 0

    def __init__(self, n):
        self.n = n

    @_Lazy
    def matrix(self):
        type(self).made += 1
        return torch.arange(float(self.n * self.n)).reshape(self.n, self.n) / self.n

    @property
    def inverse(self):
        return (self.matrix + torch.eye(self.n) * 20).inverse()


@odd
def nondata_descriptor_cached(r):
    _Basis.made = 0
    b = _Basis(3)

    def f(x):
        return x @ b.matrix + b.inverse.sum()

    g = r.compile(f)
    g(grid())
    r.see("matrix" in vars(b), _Basis.made)
    g(grid())
    b.matrix = torch.eye(3)
    g(grid())
    del b.matrix
    b.n = 3
    g(grid())
    r.see(_Basis.made)
    vars(b)["matrix"].mul_(2)
    g(grid())


class _Config:
    def __init__(self, **kw):
        object.__setattr__(self, "_d", dict(kw))
        object.__setattr__(self, "asked", [])

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        self.asked.append(name)
        try:
            return self._d[name]
        except KeyError:
            raise AttributeError(f"no {name}") from None

    def __setattr__(self, name, value):
        self.asked.append(f"{name}=")
        self._d[name] = value

    def __delattr__(self, name):
        del self._d[name]

    def __contains__(self, name):
        return name in self._d


@odd
def getattr_config(r):
    c = _Config(scale=2.0, bias=torch.ones(3))

    def f(x):
        y = x * c.scale
        if "bias" in c:
            y = y + c.bias
        c.last = y.shape[0]
        return y + getattr(c, "extra", 0.25) + hasattr(c, "gone")

    g = r.compile(f)
    g(grid())
    c.scale = 3.0
    g(grid())
    del c.bias
    g(grid())
    c.extra = torch.tensor(7.0)
    g(grid())
    c.gone = 1
    g(grid())
    r.see(c.asked, c._d)


@dataclasses.dataclass(order=True)
class _Item:
    cost: float
    name: str = dataclasses.field(compare=False)
    value: typing.Any = dataclasses.field(compare=False, default=None)
    seen: list = dataclasses.field(default_factory=list, compare=False, repr=False)

    def __post_init__(self):
        self.seen.append(self.name)


@odd
def dataclasses_in_a_heap(r):
    heap: list[_Item] = []

    def f(x, cost, name):
        heapq.heappush(heap, _Item(cost, name, x.sum() * cost))
        best = heap[0]
        best.seen.append(len(heap))
        if len(heap) > 2:
            gone = heapq.heappop(heap)
            return gone.value + x, repr(gone.name)
        return best.value * x, dataclasses.replace(best, name="copy").name

    g = r.compile(f)
    for cost, name in ((3.0, "c"), (1.0, "a"), (2.0, "b"), (0.5, "d")):
        g(grid(), cost, name)
    r.see([(i.cost, i.name, i.value, i.seen) for i in sorted(heap)])


class _Point(typing.NamedTuple):
    x: torch.Tensor
    y: float = 1.0
    tag: str = "p"

    def norm(self):
        return (self.x**2).sum().sqrt() + self.y


@odd
def named_tuples_replaced(r):
    def f(p, *rest):
        q = p._replace(y=p.y + 1, x=p.x * 2)
        a, *b = q
        m = _Point._make([q.x + 1, *b])
        return q, m.norm(), q._asdict()["tag"], len(b), (*rest, a)[0], q == p if not rest else None, p._fields

    g = r.compile(f)
    g(_Point(grid()), 5)
    g(_Point(grid(), 2.5, "q"), grid(3.0), "z")
    g(_Point(torch.tensor(1.0), 3))
    g(collections.namedtuple("_Point", "x y tag")(grid(), 1, 2), 1)


class _Act(enum.Enum):
    RELU = functools.partial(torch.relu)
    TANH = functools.partial(torch.tanh)
    GELU = "gelu"

    def __call__(self, x):
        return self.value(x) if callable(self.value) else getattr(nn.functional, self.value)(x)


class _Flags(enum.Flag):
    A = enum.auto()
    B = enum.auto()
    C = A | B


@odd
def enum_with_callables_and_flags(r):
    def f(x, act, flags):
        y = act(x) if isinstance(act, _Act) else _Act[act](x)
        if flags & _Flags.A:
            y = y + 1
        if _Flags.B in flags:
            y = y * 2
        return y, flags.name, [a.name for a in _Act], (flags | _Flags.B) is _Flags.C

    g = r.compile(f)
    g(grid(-1.0), _Act.GELU, _Flags.A)
    g(grid(-1.0), "TANH", _Flags.C)
    g(grid(-1.0), "NOPE", _Flags.B)
    g(grid(-1.0), _Act.GELU, _Flags(0))


@functools.singledispatch
def _render(v):
    raise NotImplementedError(type(v).__name__)


@_render.register
def _(v: torch.Tensor):
    return v.mean()


@_render.register(list)
@_render.register(tuple)
def _(v):
    return sum(_render(x) for x in v)


@odd
def singledispatch_learns(r):
    def f(x, v):
        return x * _render(v)

    g = r.compile(f)
    g(grid(), grid())
    g(grid(), [grid(), (grid(2.0),)])
    g(grid(), 3)
    _render.register(int, lambda v: torch.tensor(float(v)))
    g(grid(), 3)
    g(grid(), [3, True, grid()])
    _render.register(bool, lambda v: 100)
    g(grid(), [3, True, grid()])
    _render.register(nn.Parameter, lambda v: v.sum())
    g(grid(), [nn.Parameter(grid()), grid()])


@odd
def cache_of_tensors_per_key(r):
    made = []

    @functools.lru_cache(maxsize=2)
    def table(n, kind="sin"):
        made.append((n, kind))
        return getattr(torch, kind)(torch.arange(float(n)))

    def f(x, kind):
        t = table(x.shape[1], kind)
        return x + t, table(x.shape[1], kind) is t

    g = r.compile(f)
    for kind in ("sin", "cos", "sin", "exp", "cos"):
        g(grid(), kind)
    r.see(made, table.cache_info().currsize)
    table(3, "cos").zero_()
    g(grid(), "cos")
    table.cache_clear()
    g(grid(), "cos")
    r.see(made)


@odd
def itertools_of_everything(r):
    def f(x, n):
        rows = list(x)
        pairs = [a * b for a, b in itertools.combinations(rows + [rows[0]], 2)]
        acc = list(itertools.accumulate(rows, operator.mul, initial=torch.ones(3)))
        groups = {k: [v for _, v in grp] for k, grp in itertools.groupby([(1, 2), (1, 3), (2, 4)], key=lambda t: t[0])}
        taken = list(itertools.islice(itertools.cycle("ab"), n))
        star = list(itertools.starmap(torch.add, [(x, 1), (x, x)]))
        tee1, tee2 = itertools.tee(iter(rows))
        next(tee1)
        z = list(itertools.zip_longest(tee1, tee2, fillvalue=torch.zeros(3)))
        d = list(itertools.dropwhile(lambda v: v < n, range(5)))
        p = [i * j for i, j in itertools.product(d, repeat=2)]
        return (
            pairs,
            acc,
            groups,
            taken,
            star,
            z,
            sum(p),
            list(itertools.pairwise(d)),
            list(itertools.compress(d, [1, 0, 1])),
        )

    g = r.compile(f)
    g(grid(), 2)
    g(grid(), 4)


@odd
def match_on_shapes_and_classes(r):
    def f(v):
        match v:
            case torch.Tensor(shape=(2, n)) if n > 2:
                return v.sum() * n
            case torch.Tensor(ndim=0):
                return v + 1
            case {"op": "add" | "plus" as op, "args": [a, b, *rest], **more}:
                return a + b + len(rest) + len(op) + len(more)
            case _Point(x, y=2.5 | 3.5):
                return x * 10
            case _Point(x=x):
                return x
            case [first, *_, last] if first is not last:
                return first - last
            case (only,) | [only, _]:
                return only * 7
            case str() | None:
                return torch.zeros(3)
        return None

    g = r.compile(f)
    x = grid()
    for v in (
        x,
        torch.tensor(2.0),
        {"op": "plus", "args": (x, 1, 2, 3), "z": 1},
        {"op": "mul"},
        _Point(x, 3.5),
        _Point(x),
        [x, 1, 2],
        [x, x],
        (x,),
        "s",
    ):
        g(v)
