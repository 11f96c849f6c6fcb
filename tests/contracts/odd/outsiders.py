"""What users of torch.compile and JAX were surprised by, once more: one program for each surprise."""

from __future__ import annotations

import collections
import contextlib
import copy
import functools
import itertools
import math
import operator
import types
import warnings
import weakref

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

_RATE = 1.0


@odd
def global_rate_is_rebound(r):
    global _RATE
    _RATE = 1.0
    f = r.compile(lambda x: x * _RATE)
    for _RATE in (1.0, 2, 2.5, torch.tensor(3.0), True):
        f(grid())
    _RATE = 1.0


@odd
def hessian_inside_of_jvp(r):
    def f(x):
        return torch.func.jvp(lambda y: torch.func.grad(lambda z: (z**3).sum())(y), (x,), (torch.ones_like(x),))

    f = r.compile(f)
    f(grid())
    f(torch.ones(2, 3))


@odd
def set_of_shapes(r):
    seen = set()

    def f(x):
        new = tuple(x.shape) not in seen
        seen.add(tuple(x.shape))
        return x * (2 if new else 3), len(seen), frozenset(seen) >= {(2, 3)}

    f = r.compile(f)
    for rows in (2, 2, 3, 2):
        f(torch.ones(rows, 3))
    r.see(seen)


@odd
def subclass_of_set_and_its_iterator(r):
    class Odd(set):
        def __iter__(self):
            return iter([99])

    f = r.compile(lambda x, a, b: (x * 2, a == b, len(b), list(b), 1 in b))
    f(grid(), {1, 2, 3}, Odd({1, 2, 3}))


@odd
def unequal_by_equal(r):
    class P:
        def __init__(self, x):
            self.x = x

        def __eq__(self, other):
            return self.x == other.x

        __hash__ = None

    f = r.compile(lambda x, a, b: (x + 1, a != b, a == b, a in [b, b]))
    f(grid(), P(0), P(0))
    f(grid(), P(0), P(1))


@odd
def truth_of_objects(r):
    class Sized:
        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

    class Never:
        def __bool__(self):
            return False

    f = r.compile(lambda x, o: (x * 2 if o else x * 3, not o, bool(o), o and 1, [1, 2] if o or 0 else None))
    for o in (Sized(0), Sized(2), Never(), nn.ModuleList(), nn.ModuleList([nn.Identity()]), {}, "", 0.0):
        f(grid(), o)


@odd
def defaults_and_code_exchanged(r):
    class Model:
        def m(self, x, k=2.0):
            return x * k

    def other(self, x, k=5.0):
        return x + k

    model = Model()
    f = r.compile(lambda x: model.m(x))
    f(grid())
    Model.m.__defaults__ = (9.0,)
    f(grid())
    Model.m.__code__ = other.__code__
    f(grid())


@odd
def keyword_defaults_edited(r):
    def g(x, *, k=2.0):
        return x * k

    f = r.compile(lambda x: g(x))
    f(grid())
    g.__kwdefaults__["k"] = 3.0
    f(grid())
    g.__kwdefaults__ = {"k": 4.0}
    f(grid())


@odd
def list_multiplied_by_reference(r):
    def f(x):
        rows = [[0.0] * 2] * 2
        rows[0][0] = 5.0
        other = [[] for _ in range(2)]
        other[0].append(x)
        return x + rows[1][0], len(other[1]), rows[0] is rows[1]

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def slices_assigned_and_deleted(r):
    def f(x, items):
        items[1:3] = [x.sum(), x.max(), 7]
        del items[0]
        items[::2] = ["a"] * len(items[::2])
        items *= 2
        return x, len(items), items.count("a"), items.index(7) if 7 in items else None

    f = r.compile(f)
    items = [1, 2, 3, 4]
    f(grid(), items)
    r.see(items)


@odd
def dict_methods(r):
    def f(x, d):
        popped = d.pop("a", None), d.popitem(), d.setdefault("n", []), d.get("missing", 0)
        d["n"].append(x.sum())
        d.update([("z", 1)], y=2)
        return x, popped, dict(reversed(list(d.items()))), {v: k for k, v in {"q": 1}.items()}

    f = r.compile(f)
    d = {"a": 1, "b": 2, "c": 3}
    f(grid(), d)
    r.see(d)
    f(grid(), {"b": 5, "a": 1})


@odd
def counter_most_common(r):
    def f(x, words):
        c = collections.Counter(words)
        c.subtract({"a": 1})
        return x * c["a"], c.most_common(1), c["none"], sum((c + c).values())

    f = r.compile(f)
    f(grid(), ["a", "b", "a", "a"])
    f(grid(), ["b", "b"])


@odd
def chain_map_and_user_dict(r):
    class Config(collections.UserDict):
        def __missing__(self, key):
            self.data[key] = 1.5
            return 1.5

    c, m = Config(), collections.ChainMap({"k": 2.0}, {"k": 3.0, "j": 4.0})
    f = r.compile(lambda x: x * c["scale"] + m["k"] + m["j"])
    f(grid())
    r.see(dict(c))
    m.maps[0]["j"] = 50.0
    c["scale"] = 3.0
    f(grid())


@odd
def generator_expressions_are_lazy(r):
    log = []

    def told(i):
        log.append(i)
        return i

    def f(x):
        g = (told(i) for i in range(5))
        first = next(g)
        return x * first + next(i for i in g if i > 1), list(itertools.islice(g, 1))

    f = r.compile(f)
    f(grid())
    r.see(log)
    f(grid())
    r.see(log)


@odd
def late_binding_and_partial(r):
    def f(x):
        late = [lambda y: y * i for i in range(3)]
        early = [functools.partial(operator.mul, i) for i in range(3)]
        return sum(g(x) for g in late), sum(g(x) for g in early)

    f = r.compile(f)
    f(grid())


@odd
def exceptions_chosen_by_type(r):
    class Own(ValueError):
        pass

    def f(x, kind):
        try:
            if kind:
                raise kind("told")
        except (KeyError, Own) as e:
            return x * 2, type(e).__name__, e.args
        except ValueError:
            return x * 3, "value", ()
        else:
            x = x + 1
        return x, None, ()

    f = r.compile(f)
    for kind in (None, KeyError, Own, ValueError, IndexError):
        f(grid(), kind)


@odd
def context_variables_in_order(r):
    log = []

    @contextlib.contextmanager
    def level(name):
        log.append(f"+{name}")
        try:
            yield name
        except ZeroDivisionError:
            log.append(f"!{name}")
        finally:
            log.append(f"-{name}")

    def f(x, n):
        with level("a") as a, level("b"):
            x = x * (6 // n)
            log.append(a)
        return x

    f = r.compile(f)
    for n in (1, 0, 2):
        f(grid(), n)
        r.see(log)


@odd
def property_with_a_setter(r):
    class Clamped:
        def __init__(self):
            self._k, self.sets = 1.0, 0

        @property
        def k(self):
            return self._k

        @k.setter
        def k(self, value):
            self._k = min(value, 3.0)
            self.sets += 1

    o = Clamped()

    def f(x):
        o.k = o.k + 1.5
        return x * o.k

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(o.k, o.sets)


@odd
def class_counter_by_new(r):
    class One:
        made = []

        def __new__(cls, k):
            self = super().__new__(cls)
            cls.made.append(k)
            return self

        def __init__(self, k):
            self.k = k

    f = r.compile(lambda x, k: x * One(k).k)
    for k in (1, 2, 2):
        f(grid(), k)
        r.see(One.made)


@odd
def nothing_and_everything_comes_back(r):
    f = r.compile(lambda x, n: (None, x, [x, (x, {"k": x})], n, ..., NotImplemented, x.shape, x.dtype, x.device))
    f(grid(), "a")
    f(torch.ones(4, 3), b"b")


@odd
def named_tuple_of_a_users_with_defaults(r):
    Point = collections.namedtuple("Point", "x y z", defaults=[3.0])

    def f(x, p):
        q = p._replace(y=x * p.z)
        return q, q._asdict(), q[1] is q.y, len(q), p._fields

    f = r.compile(f)
    f(grid(), Point(1.0, 2.0))
    f(grid(), Point(1.0, 2.0, 5.0))


@odd
def views_of_views_written(r):
    def f(x):
        a = x.view(3, 2)
        b = a.t()
        b[0] = 0
        c = x.narrow(1, 1, 2)
        c.add_(a.sum())
        x.unsqueeze_(0)
        return x.shape, c.sum()

    f = r.compile(f)
    x = grid()
    f(x)
    r.see(x)


@odd
def copy_between_views_of_one(r):
    def f(x):
        x[0].copy_(x[1])
        torch.swapaxes(x, 0, 1)[2].fill_(8)
        x.T.mul_(2)
        return x + 0

    f = r.compile(f)
    x = grid()
    f(x)
    r.see(x)


@odd
def where_with_out_and_masks(r):
    def f(x, out):
        torch.where(x > 2, x, torch.zeros(()), out=out)
        x[x < 3] = -1
        x.masked_fill_(x == 4, 40)
        return x.masked_select(x > 0), torch.nonzero(x > 0).shape, out.sum()

    f = r.compile(f)
    out = torch.empty(2, 3)
    f(grid(), out)
    r.see(out)


@odd
def strides_matter(r):
    f = r.compile(
        lambda x: (x.is_contiguous(), x.stride(), x.flatten(), x.t().contiguous().stride(), x.clone().stride())
    )
    f(grid())
    f(grid().t())
    f(grid()[:, ::2])
    f(grid()[:1].expand(2, 3))


@odd
def comparisons_of_python_and_tensor(r):
    f = r.compile(lambda x, k: (x == k, x != None, x is None, (x > k).sum() > 2, k <= 2 < len(x) + 1))  # noqa: E711
    for k in (1, 2.0, 3, torch.tensor(2.0)):
        f(grid(), k)


@odd
def integers_of_all_widths(r):
    f = r.compile(lambda x, y: (x + y, x * y, x // y, x.float() / y, x.sum() + y.sum(), torch.maximum(x, y), x << 1))
    kinds = (torch.uint8, torch.int8, torch.int32, torch.int64)
    for a, b in itertools.product(kinds, kinds[:2]):
        f(torch.tensor([100, 7]).to(a), torch.tensor([3, 120]).to(b))


@odd
def mathematics_of_python(r):
    f = r.compile(
        lambda x, k: (
            x * math.floor(k),
            math.ceil(k),
            math.hypot(k, 1),
            math.isclose(k, 1.5),
            math.fsum([k] * 10),
            math.log1p(k),
        )
    )
    for k in (1.5, 2.5, 0.1, 1.5):
        f(grid(), k)


@odd
def strings_decide(r):
    def f(x, mode):
        mode = mode.strip().lower()
        if mode.startswith("re") and "l" in mode:
            x = x.relu()
        return getattr(torch, {"relu": "sin"}.get(mode, mode))(x), mode[::-1], f"{mode:>6}|{len(x):03d}"

    f = r.compile(f)
    for mode in (" ReLU", "cos", "tanh "):
        f(grid(), mode)


@odd
def proxies_by_weak_reference(r):
    class Holder:
        k = 2.0

    holder = Holder()
    ref, proxy = weakref.ref(holder), weakref.proxy(holder)
    f = r.compile(lambda x: x * (ref().k if ref() is not None else 9.0))
    g = r.compile(lambda x: x * proxy.k)
    f(grid())
    g(grid())
    holder.k = 3.0
    f(grid())
    g(grid())
    del holder
    f(grid())


@odd
def module_functions_looked_up_late(r):
    tools = types.ModuleType("tools")
    tools.scale = lambda x: x * 2
    f = r.compile(lambda x: tools.scale(x) + getattr(tools, "extra", 0))
    f(grid())
    tools.scale = lambda x: x * 3
    f(grid())
    tools.extra = 5
    f(grid())
    del tools.extra
    f(grid())


@odd
def warnings_as_errors_inside(r):
    def f(x):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                warnings.warn("told", stacklevel=1)
            except UserWarning as e:
                return x * 2, str(e)
        return x, None

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def copies_share_or_do_not(r):
    def f(x, o):
        a, b = copy.copy(o), copy.deepcopy(o)
        a["list"].append(1)
        b["list"].append(2)
        a["x"].add_(1)
        return x * len(o["list"]), b["x"], a["x"] is o["x"]

    f = r.compile(f)
    o = {"list": [], "x": torch.zeros(3)}
    f(grid(), o)
    r.see(o)
    f(grid(), o)
    r.see(o)


@odd
def tensor_in_a_list_of_numbers(r):
    f = r.compile(lambda x, k: (x * 2, k in [1, 2.0]))
    f(grid(), 2)
    f(grid(), torch.tensor(2.0))
