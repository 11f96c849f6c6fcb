"""What Python calls by itself: descriptors, hooks of classes, operators, contexts, iteration, formats, comparison."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import operator
import types

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


class Clamped:
    """A descriptor that counts and keeps its value beside the object."""

    def __init__(self, low, high):
        self.low, self.high, self.sets = low, high, 0

    def __set_name__(self, owner, name):
        self.name = f"_{name}"

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        return getattr(instance, self.name, self.low)

    def __set__(self, instance, value):
        self.sets += 1
        setattr(instance, self.name, min(max(value, self.low), self.high))


class Schedule:
    rate = Clamped(0.0, 1.0)

    def __init__(self):
        self.rate = 0.5


@odd
def descriptor_clamps_what_is_set(r):
    schedule = Schedule()
    Schedule.rate.sets = 0

    def f(x):
        schedule.rate = schedule.rate + 0.2
        return x * schedule.rate

    f = r.compile(f)
    for _ in range(4):
        f(grid())
        r.see(round(schedule.rate, 6), Schedule.rate.sets)


class Registry(type):
    known: dict = {}

    def __new__(mcs, name, bases, body):
        kind = super().__new__(mcs, name, bases, body)
        mcs.known[name] = kind
        return kind

    def __getitem__(cls, factor):
        return cls(factor)

    def __iter__(cls):
        return iter(sorted(Registry.known))

    def __len__(cls):
        return len(Registry.known)

    def __contains__(cls, name):
        return name in Registry.known


class Scaled(metaclass=Registry):
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor


@odd
def metaclass_with_item_and_length(r):
    def f(x, k):
        return Scaled[k](x) + len(Scaled), list(Scaled), "Shifted" in Scaled

    f = r.compile(f)
    f(grid(), 2.0)
    f(grid(), 3.0)
    shifted = Registry("Shifted", (Scaled,), {})
    try:
        f(grid(), 2.0)
        r.see(shifted(2.0)(grid()))
    finally:
        Registry.known.pop("Shifted")
    f(grid(), 2.0)


@dataclasses.dataclass
class Settings:
    width: int = 2
    scale: float = 1.0
    area: float = dataclasses.field(init=False)
    notes: list = dataclasses.field(default_factory=list, compare=False)

    def __post_init__(self):
        if self.width < 0:
            raise ValueError(f"width {self.width} is negative")
        self.area = self.width * self.scale
        self.notes.append("made")


@odd
def dataclass_is_checked_after_it_is_made(r):
    def f(x, width):
        settings = Settings(width, 0.5)
        other = dataclasses.replace(settings, scale=2.0)
        return x * settings.area + other.area, settings == Settings(width, 0.5), settings.notes, other.notes

    f = r.compile(f)
    f(grid(), 2)
    f(grid(), 5)
    f(grid(), -1)
    f(grid(), 0)


class Meter:
    """Only what was looked up is made, and it is made once."""

    def __init__(self):
        self.made = []

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        self.made.append(name)
        value = len(self.made) * 1.0
        self.__dict__[name] = value
        return value


@odd
def attribute_is_made_when_it_is_first_read(r):
    meter = Meter()

    def f(x, second):
        y = x * meter.gain
        return y + meter.offset if second else y

    f = r.compile(f)
    f(grid(), False)
    r.see(meter.made)
    f(grid(), True)
    r.see(meter.made, sorted(vars(meter)))
    del meter.gain
    f(grid(), True)
    r.see(meter.made)


class Frozen:
    __slots__ = ("_open", "k")

    def __init__(self, k):
        object.__setattr__(self, "_open", True)
        self.k = k
        self._open = False

    def __setattr__(self, name, value):
        if not self._open and name != "_open":
            raise AttributeError(f"{name} is frozen at {self.k}")
        object.__setattr__(self, name, value)


@odd
def assignment_is_refused_by_the_object(r):
    frozen = Frozen(2.0)

    def f(x, k):
        try:
            frozen.k = k
        except AttributeError as error:
            return x * frozen.k, str(error)
        return x * frozen.k, "set"

    f = r.compile(f)
    f(grid(), 3.0)
    frozen._open = True
    f(grid(), 4.0)
    frozen._open = False
    f(grid(), 5.0)


class Expression:
    """Arithmetic that is put down before it is done."""

    def __init__(self, text, value):
        self.text, self.value = text, value

    def __add__(self, other):
        if isinstance(other, torch.Tensor):
            return NotImplemented
        return Expression(
            f"({self.text} + {getattr(other, 'text', other)})", self.value + getattr(other, "value", other)
        )

    def __radd__(self, other):
        return Expression(f"({'x' if isinstance(other, torch.Tensor) else other} + {self.text})", other + self.value)

    def __matmul__(self, other):
        return Expression(f"{self.text} @ {other.text}", self.value @ other.value)

    def __imatmul__(self, other):
        self.text += f" @= {other.text}"
        self.value = self.value @ other.value
        return self

    def __neg__(self):
        return Expression(f"-{self.text}", -self.value)

    def __bool__(self):
        return self.text != "zero"


@odd
def operators_are_written_down(r):
    def f(x, name):
        a, b = Expression(name, x), Expression("t", x.t())
        c = a @ b
        alias = c
        c @= c
        total = 1.0 + -c if a else c + 2
        return total.value, total.text, alias is c

    f = r.compile(f)
    f(grid(), "a")
    f(grid() * 2, "zero")
    f(grid(), "b")


class Timer(contextlib.ContextDecorator):
    """Notes what passes through it; may swallow what is raised."""

    def __init__(self, log, swallow=()):
        self.log, self.swallow = log, swallow

    def __enter__(self):
        self.log.append("in")
        return self

    def __exit__(self, kind, error, trace):
        self.log.append(("out", kind.__name__ if kind else None))
        return bool(kind) and issubclass(kind, self.swallow)


@odd
def context_swallows_and_goes_on(r):
    log = []

    def f(x, k):
        y = x
        with Timer(log, (ZeroDivisionError, KeyError)):
            y = x * 2
            y = y / (1 // k)
            log.append("through")
        return y + 1

    f = r.compile(f)
    for k in (1, 0, 2, 1):
        f(grid(), k)
        r.see(list(log))


@odd
def context_as_a_decorator_of_a_helper(r):
    log = []

    @Timer(log, (ValueError,))
    def helper(x, k):
        if k > 2:
            raise ValueError("large")
        if k < 0:
            raise LookupError("small")
        return x * k

    f = r.compile(lambda x, k: (helper(x, k), len(log)))
    for k in (1, 3, -1, 2):
        f(grid(), k)
        r.see(list(log))


@odd
def return_in_finally_beats_what_was_raised(r):
    seen = []

    def risky(k):
        try:
            if k == 1:
                raise RuntimeError("one")
            return k * 10
        except RuntimeError as error:
            seen.append(str(error))
            return -1
        finally:
            seen.append(k)
            if k == 2:
                return 99  # noqa: B012 - that is what is tested

    def f(x, k):
        for _ in range(2):
            try:
                return x * risky(k)
            finally:
                if k == 3:
                    continue  # noqa: B012
        return x - 1

    f = r.compile(f)
    for k in (0, 1, 2, 3):
        f(grid(), k)
        r.see(list(seen))


class Window:
    """Iterated by its items, as Python did before iterators."""

    def __init__(self, x):
        self.x, self.asked = x, []

    def __getitem__(self, index):
        self.asked.append(index)
        if index >= 3:
            raise IndexError(index)
        return self.x * index

    def __length_hint__(self):
        self.asked.append("hint")
        return 3


@odd
def iterated_by_items(r):
    def f(x):
        window = Window(x)
        total = sum(window, start=torch.zeros_like(x))
        a, *rest = window
        return total, a, len(rest), window.asked

    f = r.compile(f)
    f(grid())
    f(-grid())


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 3

    @classmethod
    def _missing_(cls, value):
        return cls.HIGH if isinstance(value, int) and value > 3 else None


class Parts(enum.Flag):
    A = enum.auto()
    B = enum.auto()
    C = enum.auto()


@odd
def enums_that_compute(r):
    def f(x, level, parts):
        y = x * Level(level) + (Parts.A in parts)
        return (
            y,
            Level(level).name,
            (parts | Parts.C).value,
            str(~parts & Parts.B),
            [p.name for p in Parts if p in parts],
        )

    f = r.compile(f)
    f(grid(), 1, Parts.A)
    f(grid(), 3, Parts.A | Parts.B)
    f(grid(), 7, Parts.B)
    f(grid(), 2, Parts.B)


@odd
def match_takes_things_apart(r):
    def f(x, command):
        match command:
            case {"op": "scale", "by": float(k) | int(k), **rest}:
                return x * k, sorted(rest)
            case ["shift", *amounts] if len(amounts) > 1:
                return x + sum(amounts), amounts
            case Settings(width=w, scale=s) if w:
                return x * w * s, None
            case str() as name:
                return x, name
            case torch.Size((a, b)):
                return x.reshape(b, a), None
            case None | []:
                return -x, "nothing"
            case _:
                raise TypeError(f"unknown {type(command).__name__}")

    f = r.compile(f)
    for command in (
        {"op": "scale", "by": 2, "why": 1},
        {"op": "scale", "by": 2.5},
        ["shift", 1.0, 2.0],
        ["shift", 1.0],
        Settings(2, 3.0),
        Settings(0, 3.0),
        "name",
        torch.Size((2, 3)),
        None,
        [],
        {"op": "scale"},
    ):
        f(grid(), command)


class Money(float):
    def __format__(self, spec):
        return f"${super().__format__(spec or '.2f')}"

    def __repr__(self):
        return f"Money({float(self)!r})"

    def __mul__(self, other):
        return Money(super().__mul__(other)) if isinstance(other, (int, float)) else NotImplemented


@odd
def number_with_its_own_format(r):
    def f(x, price):
        twice = price * 2
        return x * price, f"{price} {twice:.1f} {price!r}", type(twice).__name__, type(price + 1).__name__

    f = r.compile(f)
    f(grid(), Money(2.5))
    f(grid(), Money(3.25))
    f(grid(), 3.25)


@odd
def walrus_and_stars_in_odd_places(r):
    def f(x, *parts, sep=None, **named):
        if (n := len(parts)) > 1 and (last := parts[-1]) is not None:
            x = x + last
        first, *middle, end = [*parts, *named.values(), n]
        merged = {**named, "n": n, **{k: v for k, v in zip("ab", parts)}}  # noqa: B905
        values = [y := n, y**2, (y := y + 1)]
        return x * end, first, middle, merged, values, sep

    f = r.compile(f)
    f(grid(), 1.0, 2.0)
    f(grid(), 1.0, 2.0, sep=",", c=5)
    f(grid())
    f(grid(), *range(3), b=1, z=2)


@odd
def dispatch_that_learns_a_kind(r):
    @functools.singledispatch
    def describe(value):
        return f"other {type(value).__name__}"

    @describe.register
    def _(value: bool):
        return f"bool {value}"

    @describe.register(int)
    @describe.register(float)
    def _(value):
        return f"number {value}"

    @describe.register
    def _(value: torch.Tensor):
        return value * 2

    f = r.compile(lambda x, v: (describe(x), describe(v)))
    f(grid(), True)
    f(grid(), 2)
    f(grid(), [1])
    describe.register(list, lambda value: f"list of {len(value)}")
    f(grid(), [1])
    describe.register(bool, lambda value: "changed")
    f(grid(), True)


class Layered(nn.Module):
    """Properties, an attribute that is computed, and a call that was wrapped by hand."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self._gain = 1.0
        self.reads = 0

    @property
    def gain(self):
        self.reads += 1
        return self._gain * len(self.inner.weight)

    @gain.setter
    def gain(self, value):
        self._gain = float(value)

    def __getattr__(self, name):
        if name == "alias":
            return self.inner
        return super().__getattr__(name)

    def __setattr__(self, name, value):
        if name == "gain" and value < 0:
            raise ValueError("negative gain")
        super().__setattr__(name, value)

    def __call__(self, x, *, plus=0.0):
        return super().__call__(x) + plus

    def forward(self, x):
        if x.sum() > 0:
            return self.alias(x) * self.gain
        self.gain = self._gain + 1
        return self.alias(x)


@odd
def module_with_properties_and_its_own_call(r):
    torch.manual_seed(3)
    module = Layered()
    f = r.compile(module)
    f(grid())
    f(-grid())
    f(grid(), plus=1.0)
    r.see(module.reads, module._gain)
    module.gain = 0.5
    f(grid())
    r.see(module.reads, module._gain)


@odd
def operator_functions_and_partials(r):
    table = {
        "get": operator.itemgetter(1, 0),
        "attr": operator.attrgetter("T.shape"),
        "call": operator.methodcaller("sum", -1),
    }
    twice = functools.partial(operator.mul, 2)

    def f(x, which):
        return twice(table[which](x)) if which != "attr" else table[which](x)

    f = r.compile(f)
    for which in table:
        f(grid(), which)
    twice = functools.partial(operator.add, 5)
    f(grid(), "call")
    table["call"] = operator.methodcaller("mean", dim=0, keepdim=True)
    f(grid(), "call")


@odd
def namespace_that_grows(r):
    space = types.SimpleNamespace(gain=2.0)

    def f(x):
        if not hasattr(space, "calls"):
            space.calls = 0
        space.calls += 1
        space.last = x.shape[0]
        return x * space.gain / space.calls, vars(space).copy()

    f = r.compile(f)
    f(grid())
    f(grid())
    del space.calls
    f(grid()[:1])
    r.see(space)
