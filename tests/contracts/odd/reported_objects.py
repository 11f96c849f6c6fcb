"""What users of compilers reported of objects: identity, properties, classes, slots, weak references, contexts."""

from __future__ import annotations

import contextlib
import contextvars
import copy
import dataclasses
import enum
import functools
import operator
import threading
import types
import weakref

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


class _Budget:
    factor = 1.0
    log: list[int] = []


class _Celsius:
    def __init__(self, degrees):
        self.raw = degrees

    @property
    def value(self):
        return self.raw + 1

    @value.setter
    def value(self, degrees):
        self.raw = degrees * 2


class _Clamped:
    """A descriptor that keeps what it was given under another name."""

    def __set_name__(self, owner, name):
        self.name = f"_{name}"

    def __get__(self, owner, kind=None):
        return getattr(owner, self.name, 0.5)

    def __set__(self, owner, value):
        setattr(owner, self.name, min(value, 3.0))


class _Dial:
    level = _Clamped()


class _Slotted:
    __slots__ = ("__weakref__", "bias", "scale")

    def __init__(self, scale):
        self.scale = scale


class _Mood(enum.Enum):
    CALM = 1.0
    LOUD = 3.0

    def louder(self):
        return _Mood.LOUD


class _Chain:
    """Attributes come from a parent, as settings do."""

    def __init__(self, parent=None, **own):
        self.__dict__.update(own, parent=parent)

    def __getattr__(self, name):
        if self.parent is None:
            raise AttributeError(name)
        return getattr(self.parent, name)


class _Money:
    def __init__(self, amount):
        self.amount = amount

    def __eq__(self, other):
        return self.amount == other.amount

    def __hash__(self):
        return hash(self.amount)

    def __lt__(self, other):
        return self.amount < other.amount


@dataclasses.dataclass
class _Run:
    rate: float = 2.0
    steps: list = dataclasses.field(default_factory=list)


_DEPTH = contextvars.ContextVar("depth", default=1.0)
_LOCAL = threading.local()


@odd
def identity_of_a_swapped_object(r):
    holder = types.SimpleNamespace(current=_Run(), other=_Run(5.0), seen=0)

    def f(x):
        if holder.current is holder.other:
            holder.seen += 1
            return x * 10
        holder.current = holder.other
        return x * holder.current.rate

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(holder.seen)
    holder.current = _Run(5.0)
    f(grid())
    r.see(holder.seen, holder.current is holder.other)


@odd
def property_setter_inside(r):
    def f(x):
        warm = _Celsius(3)
        warm.value = 5
        return x + warm.value, warm.raw

    f = r.compile(f)
    f(grid())
    f(grid(-1.0))


@odd
def property_setter_of_a_given_object(r):
    warm = _Celsius(3.0)

    def f(x):
        warm.value = warm.value
        return x + warm.value

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(warm.raw)
    warm.raw = 0.25
    f(grid())


@odd
def class_attribute_as_a_setting(r):
    def f(x):
        _Budget.log.append(x.shape[0])
        return x * _Budget.factor

    _Budget.factor, _Budget.log = 1.0, []
    f = r.compile(f)
    f(grid())
    _Budget.factor = 10.0
    f(grid())
    del _Budget.factor
    f(grid())
    _Budget.factor, _Budget.log = -1.0, [7]
    f(grid())
    r.see(_Budget.log)


@odd
def descriptor_that_clamps(r):
    dial = _Dial()

    def f(x):
        before = dial.level
        dial.level = dial.level * 2
        return x * dial.level + before

    f = r.compile(f)
    for _ in range(4):
        f(grid())
        r.see(vars(dial))
    dial._level = 0.125
    f(grid())


@odd
def slot_that_is_filled_later(r):
    one = _Slotted(2.0)

    def f(x):
        try:
            return x * one.scale + one.bias
        except AttributeError:
            return x * one.scale

    f = r.compile(f)
    f(grid())
    one.bias = 1.0
    f(grid())
    del one.bias
    f(grid())
    r.see(hasattr(one, "bias"))


@odd
def parents_of_settings(r):
    base = _Chain(rate=2.0)
    own = _Chain(base)

    def f(x):
        return x * own.rate + getattr(own, "shift", 0.0)

    f = r.compile(f)
    f(grid())
    base.shift = 1.0
    f(grid())
    own.rate = 5.0
    f(grid())
    del base.shift
    f(grid())


@odd
def weak_reference_that_dies(r):
    target = _Run(3.0)
    there = weakref.ref(target)

    def f(x):
        found = there()
        return x if found is None else x * found.rate

    f = r.compile(f)
    f(grid())
    target.rate = 4.0
    f(grid())
    del target
    f(grid())


@odd
def context_variable_between_calls(r):
    def f(x):
        return x * _DEPTH.get()

    f = r.compile(f)
    f(grid())
    token = _DEPTH.set(3.0)
    f(grid())
    _DEPTH.reset(token)
    f(grid())
    context = contextvars.copy_context()
    context.run(_DEPTH.set, 9.0)
    context.run(f, grid())
    f(grid())


@odd
def thread_local_in_two_threads(r):
    def f(x):
        return x * getattr(_LOCAL, "scale", 1.0)

    f = r.compile(f)
    f(grid())

    def other():
        _LOCAL.scale = 7.0
        f(grid())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    f(grid())


@odd
def enum_member_as_a_state(r):
    state = {"mood": _Mood.CALM}

    def f(x):
        mood = state["mood"]
        state["mood"] = mood.louder()
        return x * mood.value, mood is _Mood.LOUD

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(state["mood"])
    state["mood"] = _Mood.CALM
    f(grid())


@odd
def sorted_by_users_order(r):
    purse = [_Money(3.0), _Money(1.0), _Money(2.0)]

    def f(x):
        least, *_ = sorted(purse)
        return x * least.amount, _Money(1.0) in purse, purse.index(_Money(2.0))

    f = r.compile(f)
    f(grid())
    purse[0].amount = 0.5
    f(grid())
    purse[1].amount = 7.0
    f(grid())


@odd
def dataclass_that_is_replaced(r):
    run = _Run()

    def f(x):
        nonlocal run
        run = dataclasses.replace(run, rate=run.rate + 1)
        run.steps.append(run.rate)
        return x * run.rate

    f = r.compile(f)
    first = run
    for _ in range(3):
        f(grid())
    r.see(first.rate, first.steps, run.rate, run.steps is first.steps)


@odd
def single_dispatch_that_learns(r):
    @functools.singledispatch
    def scale(value):
        return 1.0

    @scale.register
    def _(value: int):
        return 2.0

    def f(x, kind):
        return x * scale(kind)

    f = r.compile(f)
    f(grid(), 3)
    f(grid(), "a")
    scale.register(str, lambda value: 5.0)
    f(grid(), "a")
    scale.register(int, lambda value: -1.0)
    f(grid(), 3)


@odd
def getters_of_operator(r):
    run = types.SimpleNamespace(part=types.SimpleNamespace(rate=2.0), table=[1.0, 3.0])
    deep, pick, call = operator.attrgetter("part.rate"), operator.itemgetter(1, 0), operator.methodcaller("mul", 2)

    def f(x):
        high, low = pick(run.table)
        return call(x) * deep(run) + high - low

    f = r.compile(f)
    f(grid())
    run.part = types.SimpleNamespace(rate=-2.0)
    f(grid())
    run.table.reverse()
    f(grid())


@odd
def copy_of_a_module_inside(r):
    layer = nn.Linear(3, 3)

    def f(x):
        twin = copy.deepcopy(layer)
        with torch.no_grad():
            twin.weight.mul_(2)
        return twin(x) - layer(x)

    f = r.compile(f)
    f(grid())
    with torch.no_grad():
        layer.weight.add_(1)
    f(grid())
    r.see(layer)


@odd
def exit_stack_in_order(r):
    order = []

    @contextlib.contextmanager
    def part(name):
        order.append(f"+{name}")
        try:
            yield len(order)
        finally:
            order.append(f"-{name}")

    def f(x, n):
        with contextlib.ExitStack() as stack:
            sizes = [stack.enter_context(part(i)) for i in range(n)]
            stack.callback(order.append, "end")
            return x * sum(sizes)

    f = r.compile(f)
    f(grid(), 2)
    f(grid(), 2)
    f(grid(), 3)
    r.see(order)
