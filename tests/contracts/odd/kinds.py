"""Kinds of values: layouts, subclasses, sparse, quantized, nested, dataclasses, enums, named tuples."""

from __future__ import annotations

import collections
import dataclasses
import enum
import typing

import torch

from tests.contracts.odd.recorder import grid, odd


@odd
def layouts(r):
    f = r.compile(lambda x: (x * 2, x.contiguous(), x.reshape(-1), x.is_contiguous(), x.stride(), x.sum(1)))
    x = torch.arange(24.0).reshape(2, 3, 4)
    for view in (x, x.transpose(0, 2), x[:, ::2], x[..., 1], x.expand(2, 2, 3, 4), x.flip(0), x[:, :, None]):
        f(view)


@odd
def channels_last(r):
    f = r.compile(
        lambda x: (
            x * 2,
            x.relu(),
            x.is_contiguous(memory_format=torch.channels_last),
            x.mean((2, 3)),
            torch.empty_like(x).stride(),
        )
    )
    x = torch.arange(48.0).reshape(2, 3, 2, 4)
    f(x)
    f(x.to(memory_format=torch.channels_last))
    f(x[:1].to(memory_format=torch.channels_last))


@odd
def views_reshapes_that_fail(r):
    f = r.compile(lambda x: x.view(-1))
    f(grid())
    f(grid().t())
    f(grid())


@odd
def negative_and_conjugate_views(r):
    f = r.compile(lambda z: (z + 1, z.is_conj(), z.is_neg(), z.clone(), z.resolve_neg()))
    z = torch.complex(grid(), grid())
    f(z)
    f(z.conj())
    f(z.conj().imag)


class Marked(torch.Tensor):
    pass


class Counted(torch.Tensor):
    calls = 0

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        Counted.calls += 1
        return super().__torch_function__(func, types, args, kwargs or {})


@odd
def subclass(r):
    f = r.compile(lambda x: (x * 2, type(x).__name__, x.sum(), isinstance(x, Marked)))
    f(grid().as_subclass(Marked))
    f(grid())
    f(torch.nn.Parameter(grid()))


@odd
def subclass_with_function(r):
    Counted.calls = 0
    f = r.compile(lambda x: (x * 2 + 1).sin())
    f(grid().as_subclass(Counted))
    r.see(Counted.calls > 0)


class Units:
    """Like a tensor, but none."""

    def __init__(self, value, unit):
        self.value, self.unit = value, unit

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.mul:
            return Units(args[0].value * args[1].value, args[0].unit + args[1].unit)
        return NotImplemented

    def __add__(self, other):
        return Units(self.value + getattr(other, "value", other), self.unit)

    __radd__ = __add__


@odd
def object_with_torch_function(r):
    def f(x):
        u = Units(x, "m")
        v = torch.mul(u, u)
        return v.value, v.unit, (u + 1).value, (1 + u).value

    f = r.compile(f)
    f(grid())
    f(grid(2))


@odd
def object_refused_by_torch(r):
    f = r.compile(lambda x, u: torch.add(x, u))
    f(grid(), Units(1, "m"))
    f(grid(), object())
    f(grid(), "1")


@odd
def sparse_tensors(r):
    f = r.compile(lambda s, x: (s @ x, s.to_dense(), s * 2))
    s = torch.eye(3).to_sparse()
    f(s, torch.ones(3, 2))
    f(torch.eye(3), torch.ones(3, 2))


@odd
def sparse_csr(r):
    f = r.compile(lambda s, x: s @ x)
    f(torch.eye(3).to_sparse_csr(), torch.ones(3, 2))


@odd
def sparse_made_inside(r):
    f = r.compile(
        lambda x: (x.to_sparse().coalesce().values(), torch.sparse_coo_tensor([[0, 1]], x[0, :2], (3,)).to_dense())
    )
    f(grid())
    f(grid(2))


@odd
def quantized_tensors(r):
    f = r.compile(lambda x: (torch.quantize_per_tensor(x, 0.1, 0, torch.qint8).dequantize(), x * 2))
    f(grid())
    g = r.compile(lambda q: q.dequantize() * 2)
    g(torch.quantize_per_tensor(grid(), 0.1, 0, torch.qint8))


@odd
def fake_quantized(r):
    f = r.compile(lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -128, 127))
    f(grid())


@odd
def nested_tensors(r):
    f = r.compile(lambda n: n * 2)
    f(torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)]))
    f(torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=torch.jagged))


@odd
def meta_tensors(r):
    f = r.compile(lambda x: x.shape if x.is_meta else x * 2)
    f(torch.empty(2, 3, device="meta"))
    f(grid())


@odd
def devices_and_dtypes_as_values(r):
    f = r.compile(
        lambda x, d, t: (
            torch.ones(2, device=d, dtype=t),
            x.to(t),
            x.device == torch.device("cpu"),
            x.dtype is t,
            str(d),
        )
    )
    f(grid(), "cpu", torch.float64)
    f(grid(), torch.device("cpu"), torch.float32)
    f(grid().double(), torch.device("cpu"), torch.int32)


@dataclasses.dataclass
class Point:
    x: typing.Any
    y: typing.Any = 1.0
    tags: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.tags.append("made")

    @property
    def total(self):
        return self.x + self.y


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: typing.Any
    k: int = 2


@odd
def dataclasses_in_and_out(r):
    def f(p, x):
        p.y = x
        p.tags.append("seen")
        return Point(p.total, p.x, [*p.tags]), dataclasses.replace(p, x=x * 2).x, dataclasses.asdict(Frozen(3))

    f = r.compile(f)
    for _ in range(2):
        p = Point(grid(), 2.0)
        f(p, grid())
        r.see(p)


@odd
def frozen_dataclass(r):
    def f(p):
        try:
            p.x = 1
        except dataclasses.FrozenInstanceError as error:
            return p.x * p.k, str(error)

    f = r.compile(f)
    f(Frozen(grid()))
    f(Frozen(grid(), 3))


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Flags(enum.IntFlag):
    A = 1
    B = 2


@odd
def enums(r):
    def f(x, c, flags):
        y = x * c.value
        if c is Color.RED:
            y = y + 1
        return y, c.name, {Color.RED: "r", Color.BLUE: "b"}[c], bool(flags & Flags.B), Color(2)

    f = r.compile(f)
    f(grid(), Color.RED, Flags.A)
    f(grid(), Color.BLUE, Flags.A | Flags.B)


Pair = collections.namedtuple("Pair", "a b")


class Typed(typing.NamedTuple):
    x: typing.Any
    n: int = 3

    def double(self):
        return self.x * self.n


@odd
def named_tuples(r):
    f = r.compile(
        lambda p: (Pair(p.b, p.a), p._replace(a=p.b * 2), p._asdict(), Typed(p.a).double(), p + (1,), p._fields)
    )
    f(Pair(grid(), grid(2)))
    f(Pair(grid(), 3))


@odd
def torch_return_types(r):
    f = r.compile(lambda x: (x.max(0), x.sort(), torch.linalg.qr(x), x.topk(2).values, torch.return_types.max((x, x))))
    out = f(grid())
    r.see(type(out[0]).__name__ if isinstance(out, tuple) else None)
    f(grid(2))


@odd
def collections_of_python(r):
    def f(x):
        d = collections.defaultdict(list)
        d["a"].append(x)
        c = collections.Counter("abca")
        q = collections.deque([x, x * 2], maxlen=2)
        q.append(x * 3)
        o = collections.OrderedDict(b=1, a=x)
        o.move_to_end("b")
        m = collections.ChainMap({"k": x}, {"k": 2, "j": 3})
        return dict(d), c.most_common(1), list(q), list(o), m["k"], m["j"], collections.UserDict(a=x)["a"]

    f = r.compile(f)
    f(grid())
    f(grid(2))


@odd
def dict_order(r):
    f = r.compile(
        lambda d: (list(d), [v * i for i, v in enumerate(d.values())], dict(reversed(d.items())), next(iter(d)))
    )
    a, b = torch.ones(1), torch.zeros(1)
    f({"a": a, "b": b})
    f({"b": b, "a": a})
    f(collections.OrderedDict(a=a, b=b))


@odd
def keys_of_a_dict(r):
    f = r.compile(lambda d, x: (x * d[3], d[(1, 2)], d.get(None), d[2.0], list(d.keys())))
    f({3: 2.0, (1, 2): "t", None: "n", 2: "two"}, grid())
    f({3: 5.0, (1, 2): "q", None: None, 2.0: "float"}, grid())


@odd
def sets_of_python(r):
    def f(x, s):
        t = {1, 2, 3} & s | {9}
        return x * len(t), sorted(t), s.issubset({1, 2}), frozenset(s) == {1}, 1 in s

    f = r.compile(f)
    f(grid(), {1, 2})
    f(grid(), frozenset({1}))
    f(grid(), set())


@odd
def strings_and_bytes(r):
    def f(x, s):
        return (
            s.upper().split(","),
            s[::-1],
            f"{s!r:>8}",
            s.encode(),
            "%s-%d" % (s, len(s)),
            x * s.count("a"),
            "{:.2f}".format(1 / 3),
            "".join(sorted(s)),
        )

    f = r.compile(f)
    f(grid(), "a,b")
    f(grid(), "aaa")
    f(grid(), "")


@odd
def slices_and_ellipsis(r):
    f = r.compile(lambda x, s: (x[s], x[..., 0], x[:, None], x[-1:], x[[1, 0]], x[True], x[1::2, ::2]))
    f(grid(), slice(0, 1))
    f(grid(), slice(None, None, 2))
    f(grid(), slice(-1, None))
    f(grid(), Ellipsis)
    f(grid(), None)


@odd
def range_and_enumerate_arguments(r):
    f = r.compile(lambda x, it: [x * i for i in it])
    f(grid(), range(3))
    f(grid(), (1, 2))
    f(grid(), [0])
    f(grid(), range(0, 6, 3))
    f(grid(), {4: "k"})


class Vector:
    def __init__(self, *parts):
        self.parts = list(parts)

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, i):
        return self.parts[i]

    def __iter__(self):
        return iter(self.parts)

    def __add__(self, other):
        return Vector(*(a + b for a, b in zip(self, other, strict=True)))

    def __eq__(self, other):
        return len(self) == len(other)

    def __hash__(self):
        return 1

    def __bool__(self):
        return len(self.parts) > 1

    def __contains__(self, what):
        return what == "everything"

    def __call__(self, x):
        return x * len(self)

    def __matmul__(self, other):
        return sum(a * b for a, b in zip(self, other, strict=True))


@odd
def class_with_operators(r):
    def f(v, x):
        w = v + v
        return list(w), w == v, "everything" in v, v(x), v @ v, [p for p in v], v[-1], bool(v), *v, {v: 3}[w]

    f = r.compile(f)
    f(Vector(grid(), grid(2)), grid())
    f(Vector(grid()), grid())
    f(Vector(1, 2, 3), grid())


@odd
def class_made_inside(r):
    def f(x):
        class Local:
            k = 3

            def __init__(self, t):
                self.t = t

            def go(self):
                return self.t * self.k

        return Local(x).go(), Local.__name__

    f = r.compile(f)
    f(grid())
    f(grid(2))


@odd
def inheritance_and_super(r):
    class A:
        def go(self, x):
            return x + 1

        @classmethod
        def make(cls):
            return cls()

    class B(A):
        def go(self, x):
            return super().go(x) * 2

    class C(B):
        pass

    f = r.compile(lambda x: C.make().go(x) if issubclass(C, A) else x)
    f(grid())
    C.go = lambda self, x: x * 100
    f(grid())


@odd
def generic_and_typing(r):
    def f(x: torch.Tensor, n: "int" = 2, *, flag: typing.Optional[bool] = None) -> typing.Any:
        y: typing.List[torch.Tensor] = [x] * n
        return typing.cast("typing.Any", y), flag, f.__annotations__["n"]

    g = r.compile(f)
    g(grid())
    g(grid(), 3, flag=True)
