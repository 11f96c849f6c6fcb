"""Attributes: of classes, objects, modules and functions, looked up in every way that Python has."""

from __future__ import annotations

import functools
import types

import torch

from tests.contracts.odd.recorder import grid, odd


class Settings:
    scale = 2.0
    items = [1, 2]

    @property
    def twice(self):
        return self.scale * 2

    @staticmethod
    def plus(x):
        return x + 1

    @classmethod
    def named(cls):
        return cls.__name__


@odd
def class_attribute(r):
    f = r.compile(lambda x: x * Settings.scale + len(Settings.items))
    f(grid())
    Settings.scale = 3.0
    f(grid())
    Settings.items.append(3)
    f(grid())
    Settings.items.pop()
    Settings.scale = 2.0


@odd
def class_attribute_assigned_inside(r):
    def f(x):
        Settings.count = getattr(Settings, "count", 0) + 1
        return x * Settings.count

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(Settings.count)
    del Settings.count
    f(grid())
    del Settings.count


@odd
def instance_hides_class(r):
    s = Settings()
    f = r.compile(lambda x: x * s.scale)
    f(grid())
    s.scale = 5.0
    f(grid())
    del s.scale
    f(grid())
    Settings.scale = 4.0
    f(grid())
    Settings.scale = 2.0


@odd
def property_replaced(r):
    s = Settings()
    f = r.compile(lambda x: x * s.twice)
    f(grid())
    before = Settings.twice
    Settings.twice = property(lambda self: 11.0)
    f(grid())
    Settings.twice = before
    f(grid())


@odd
def method_replaced(r):
    s = Settings()
    f = r.compile(lambda x: s.plus(x))
    f(grid())
    s.plus = lambda x: x + 100
    f(grid())
    del s.plus
    before = Settings.plus
    Settings.plus = staticmethod(lambda x: x - 1)
    f(grid())
    Settings.plus = staticmethod(before)
    f(grid())


@odd
def class_of_an_object_changed(r):
    class Other(Settings):
        scale = 9.0

    s = Settings()
    f = r.compile(lambda x: x * s.scale + len(s.named()))
    f(grid())
    s.__class__ = Other
    f(grid())


class Lazy:
    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        self.asked.append(name)
        return len(self.asked)


@odd
def getattr_with_effects(r):
    lazy = Lazy()
    f = r.compile(lambda x: x * lazy.first + lazy.second)
    for _ in range(3):
        f(grid())
    r.see(lazy.asked)


class Guarded:
    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        object.__setattr__(self, "log", [*getattr(self, "log", []), name])

    def __getattribute__(self, name):
        if name == "fortytwo":
            return 42
        return object.__getattribute__(self, name)


@odd
def setattr_and_getattribute(r):
    g = Guarded()

    def f(x):
        g.last = x * g.fortytwo
        return g.last

    f = r.compile(f)
    f(grid())
    f(grid())
    r.see(g.log, g.last)


class Slots:
    __slots__ = ("a", "b")


@odd
def slots(r):
    s = Slots()
    s.a = 2.0

    def f(x):
        s.b = x * s.a
        return s.b + 1

    f = r.compile(f)
    f(grid())
    s.a = 3.0
    f(grid())
    r.see(s.b)


class Descriptor:
    def __get__(self, owner, kind):
        return 5.0 if owner is None else owner.held

    def __set__(self, owner, value):
        owner.held = value * 2


class Described:
    value = Descriptor()


@odd
def descriptor(r):
    d = Described()

    def f(x):
        d.value = x
        return d.value + Described.value

    f = r.compile(f)
    f(grid())
    f(grid() + 1)
    r.see(d.held)


@odd
def module_attribute(r):
    made = types.ModuleType("made")
    made.k = 1.0
    f = r.compile(lambda x: x * made.k)
    f(grid())
    made.k = 2.0
    f(grid())
    del made.k
    f(grid())


@odd
def torch_function_replaced_in_a_namespace(r):
    space = types.SimpleNamespace(act=torch.relu, n=1)
    f = r.compile(lambda x: space.act(x) * space.n)
    f(grid(-1))
    space.act = torch.abs
    f(grid(-1))
    space.n = 3
    f(grid(-1))


@odd
def partial_edited(r):
    p = functools.partial(lambda x, k: x * k, k=2.0)
    f = r.compile(p)
    f(grid())
    p.keywords["k"] = 5.0
    f(grid())


@odd
def function_attribute(r):
    def f(x):
        f.calls = getattr(f, "calls", 0) + 1
        return x * f.calls

    g = r.compile(f)
    for _ in range(3):
        g(grid())
    r.see(f.calls)
