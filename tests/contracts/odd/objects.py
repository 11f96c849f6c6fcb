"""Objects of a user's own: made inside, given, kept, compared, copied; classes that change between calls."""

from __future__ import annotations

import abc
import dataclasses
import types
import typing

import torch

from tests.contracts.odd.recorder import grid, odd


class Scaled:
    """Multiplies."""

    factor = 2.0

    def __init__(self, extra=1.0):
        self.extra = extra

    def __call__(self, x):
        return x * self.factor + self.extra

    def apply(self, x):
        return self(x) + 1


class Positive:
    """A descriptor that checks what it is given."""

    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, obj, kind=None):
        return self if obj is None else getattr(obj, self.name, 1.0)

    def __set__(self, obj, value):
        if value < 0:
            raise ValueError(f"{self.name[1:]} is {value}")
        setattr(obj, self.name, value)


class Rate:
    """Holds a positive rate."""

    rate = Positive()


class Proxy:
    """Passes on what it does not know, and notes it."""

    def __init__(self, target):
        self.target, self.asked = target, []

    def __getattr__(self, name):
        self.asked.append(name)
        return getattr(self.target, name)


class Versioned:
    """Equal by name."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def __eq__(self, other):
        return isinstance(other, Versioned) and self.name == other.name

    def __hash__(self):
        return hash(self.name)


@dataclasses.dataclass
class Config:
    """With a default of every kind."""

    width: int = 3
    scale: float = 2.0
    names: list = dataclasses.field(default_factory=list)
    table: typing.ClassVar[dict] = {"a": 1.0}

    def __post_init__(self):
        self.doubled = self.scale * 2


class Account:
    """Kept in balance by a context."""

    def __init__(self):
        self.open, self.closed = 0, 0

    def __enter__(self):
        self.open += 1
        return self

    def __exit__(self, *_):
        self.closed += 1
        return False


class Meta(type):
    """Counts what is made."""

    made = 0

    def __call__(cls, *args):
        Meta.made += 1
        return super().__call__(*args)


class Made(metaclass=Meta):
    """Of a metaclass."""

    def __init__(self, k):
        self.k = k


@odd
def method_replaced_of_an_object_made_inside(r):
    class Own(Scaled):
        pass

    f = r.compile(lambda x: Own(2.0).apply(x))
    f(grid())
    Own.apply = lambda self, x: x * 1000
    f(grid())
    del Own.apply
    f(grid())
    Own.__call__ = lambda self, x: x - 50
    f(grid())


@odd
def class_attribute_of_an_object_made_inside(r):
    class Own(Scaled):
        pass

    f = r.compile(lambda x: Own()(x))
    f(grid())
    Own.factor = 7.0
    f(grid())
    Scaled.factor = 9.0
    f(grid())
    del Own.factor
    f(grid())
    Scaled.factor = 2.0


@odd
def init_replaced_of_an_object_made_inside(r):
    class Own(Scaled):
        pass

    f = r.compile(lambda x: Own(3.0).extra * x)
    f(grid())

    def init(self, extra):
        self.extra = extra * 100

    Own.__init__ = init
    f(grid())


@odd
def property_replaced_of_an_object_made_inside(r):
    class Own:
        @property
        def k(self):
            return 2.0

    f = r.compile(lambda x: x * Own().k)
    f(grid())
    Own.k = property(lambda self: 5.0)
    f(grid())
    Own.k = 9.0
    f(grid())


@odd
def method_of_a_base_replaced(r):
    class Base:
        def go(self, x):
            return x + 1

    class Own(Base):
        def go(self, x):
            return super().go(x) * 2

    own = Own()
    f = r.compile(lambda x: own.go(x))
    f(grid())
    Base.go = lambda self, x: x - 10
    f(grid())
    Own.go = Base.go
    f(grid())


@odd
def bases_replaced(r):
    class One:
        k = 1.0

    class Two:
        k = 2.0

    class Own(One):
        pass

    own = Own()
    f = r.compile(lambda x: x * own.k + Own().k + isinstance(own, Two))
    f(grid())
    Own.__bases__ = (Two,)
    f(grid())


@odd
def static_and_class_methods_replaced(r):
    class Own:
        @staticmethod
        def a(x):
            return x + 1

        @classmethod
        def b(cls, x):
            return cls.a(x) * 2

    f = r.compile(lambda x: Own.b(x) + Own().a(x))
    f(grid())
    Own.a = staticmethod(lambda x: x + 100)
    f(grid())
    Own.b = classmethod(lambda cls, x: x)
    f(grid())


@odd
def descriptor_with_a_check(r):
    def f(x, rate, k):
        rate.rate = k
        return x * rate.rate + Rate().rate

    f = r.compile(f)
    rate = Rate()
    for k in (1.0, 3.0, -2.0, 3.0):
        f(grid(), rate, k)
        r.see(rate.rate)


@odd
def proxy_with_getattr(r):
    target = types.SimpleNamespace(k=2.0)
    proxy = Proxy(target)
    f = r.compile(lambda x: x * proxy.k + hasattr(proxy, "missing"))
    for k in (2.0, 3.0):
        target.k = k
        f(grid())
        r.see(proxy.asked)
    proxy.k = 50.0
    f(grid())
    r.see(proxy.asked)


@odd
def getattribute_that_counts(r):
    class Watched:
        def __init__(self):
            self.k, self.reads = 2.0, 0

        def __getattribute__(self, name):
            if name == "k":
                object.__setattr__(self, "reads", object.__getattribute__(self, "reads") + 1)
            return object.__getattribute__(self, name)

    watched = Watched()
    f = r.compile(lambda x: x * watched.k + watched.k)
    f(grid())
    f(grid())
    r.see(watched.reads)


@odd
def setattr_that_notes(r):
    class Noting:
        def __init__(self):
            object.__setattr__(self, "notes", [])

        def __setattr__(self, name, value):
            self.notes.append(name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name):
            self.notes.append("-" + name)
            object.__delattr__(self, name)

    def f(x, o):
        o.last = x * 2
        o.size = x.shape[0]
        del o.size
        return o.last + len(o.notes)

    f = r.compile(f)
    noting = Noting()
    for _ in range(2):
        f(grid(), noting)
        r.see(noting.notes, noting.last)


@odd
def dataclass_with_defaults(r):
    def f(x, *names):
        config = Config(names=list(names))
        config.names.append("more")
        return x * config.doubled + len(config.names), config, dataclasses.replace(config, scale=5.0).doubled

    f = r.compile(f)
    f(grid())
    f(grid(), "a", "b")
    Config.table["a"] = 2.0
    r.see(Config().names)


@odd
def dataclass_default_changed(r):
    f = r.compile(lambda x, c: x * c.scale + Config.table["a"] + c.table["a"])
    config = Config()
    f(grid(), config)
    Config.table["a"] = 5.0
    f(grid(), config)
    config.scale = 1.0
    f(grid(), config)
    Config.table = {"a": 1.0}
    f(grid(), config)
    f(grid(), dataclasses.replace(config, scale=3.0))


@odd
def dataclass_functions(r):
    def f(x, c):
        values = dataclasses.asdict(c)
        names = [field.name for field in dataclasses.fields(c)]
        return x * len(values) + len(names), c == Config(), repr(c)

    f = r.compile(f)
    f(grid(), Config())
    f(grid(), Config(width=4, names=["a"]))


@odd
def equality_of_a_users_own(r):
    f = r.compile(lambda x, a, b: x * (a == b) + (a != b) * a.value + len({a, b}))
    f(grid(), Versioned("a", 1.0), Versioned("a", 2.0))
    f(grid(), Versioned("a", 1.0), Versioned("b", 2.0))
    same = Versioned("c", 3.0)
    f(grid(), same, same)
    same.name = "d"
    f(grid(), same, Versioned("c", 0.0))


@odd
def objects_as_keys(r):
    a, b = Versioned("a", 1.0), Versioned("b", 1.0)
    table = {a: 1.0, b: 2.0}
    f = r.compile(lambda x, k: x * table[k] if k in table else x)
    f(grid(), a)
    f(grid(), b)
    f(grid(), Versioned("a", 5.0))
    table[a] = 9.0
    f(grid(), a)
    del table[b]
    f(grid(), b)


@odd
def tensors_as_keys(r):
    w = torch.ones(3)
    table = {w: 2.0}
    f = r.compile(lambda x, k: x * table.get(k, 0.0) + (k in table) + len({w, k}))
    f(grid(), w)
    f(grid(), torch.ones(3))
    table[w] = 5.0
    f(grid(), w)


@odd
def identity_of_objects(r):
    kept = []

    def f(x, o):
        kept.append(o)
        fresh = object()
        return x * (o is kept[0]) + (id(o) == id(kept[-1])) + (fresh is not o)

    f = r.compile(f)
    first, second = Scaled(), Scaled()
    for o in (first, second, first, None):
        f(grid(), o)


@odd
def instances_by_subclass(r):
    class Child(Scaled):
        pass

    class Shape(abc.ABC):  # noqa: B024 - nothing is abstract in it
        pass

    def f(x, o):
        if isinstance(o, Child):
            return x + 1
        if isinstance(o, (Scaled, int)):
            return x + 2
        return x + 3 + isinstance(o, Shape) + callable(o)

    f = r.compile(f)
    for o in (Child(), Scaled(), 5, True, "s"):
        f(grid(), o)
    Shape.register(str)
    f(grid(), "s")


@odd
def instance_check_of_a_users_own(r):
    class Even(type):
        def __instancecheck__(cls, value):
            return value % 2 == 0

        def __subclasscheck__(cls, kind):
            return kind is int

    class EvenNumber(metaclass=Even):
        pass

    f = r.compile(lambda x, k: x * isinstance(k, EvenNumber) + issubclass(type(k), EvenNumber))
    for k in (2, 3, 4, 2.0):
        f(grid(), k)


@odd
def metaclass_that_counts(r):
    Meta.made = 0
    f = r.compile(lambda x: x * Made(2).k + Made(3).k)
    for _ in range(3):
        f(grid())
        r.see(Meta.made)


@odd
def context_of_an_object(r):
    account = Account()

    def f(x):
        with account as a, a:
            y = x * a.open
        return y - account.closed

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(account.open, account.closed)


@odd
def object_made_inside_is_kept(r):
    kept = []

    def f(x):
        made = Scaled(float(len(kept)))
        made.memory = x * 2
        kept.append(made)
        return made(x)

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see([m.extra for m in kept], [m.memory for m in kept], len({id(m) for m in kept}))


@odd
def object_returned_and_used(r):
    f = r.compile(lambda x: Scaled(3.0))
    made = [f(grid()), f(grid())]
    r.see(made[0] is made[1], [getattr(m, "extra", None) for m in made])


@odd
def class_of_an_object_changes(r):
    class Other(Scaled):
        factor = 11.0

    scaled = Scaled()
    f = r.compile(lambda x: scaled(x) + isinstance(scaled, Other))
    f(grid())
    scaled.__class__ = Other
    f(grid())
    scaled.__class__ = Scaled
    f(grid())


@odd
def method_bound_to_an_object(r):
    scaled = Scaled()
    scaled.apply = types.MethodType(lambda self, x: x - self.extra, scaled)
    f = r.compile(lambda x: scaled.apply(x))
    f(grid())
    scaled.extra = 5.0
    f(grid())
    scaled.apply = lambda x: x * 3
    f(grid())
    del scaled.apply
    f(grid())


@odd
def bound_method_compiled(r):
    scaled = Scaled()
    f = r.compile(scaled.apply)
    f(grid())
    scaled.extra = 9.0
    f(grid())
    Scaled.factor = 3.0
    f(grid())
    Scaled.factor = 2.0


@odd
def callable_object_compiled(r):
    scaled = Scaled()
    f = r.compile(lambda x: scaled(x)) if r.way == "step" else r.compile(scaled.__call__)
    f(grid())
    scaled.factor = 4.0
    f(grid())
    del scaled.factor
    f(grid())
