"""Modules, modes and objects whose state changes between and within calls."""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import io
import pickle
import random
import threading
import typing
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.odd.recorder import grid, odd


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(3) * 2)
            self.first.bias.fill_(0.5)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scale", torch.ones(3), persistent=False)
        self.mode, self.history, self.k = "plain", [], 1.0

    def forward(self, x):
        self.seen += x.shape[0]
        self.history.append(self.mode)
        y = self.first(x) * self.scale
        if self.mode == "double":
            y = y * 2
        return y * self.k


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Way(enum.Flag):
    UP = enum.auto()
    DOWN = enum.auto()


@dataclasses.dataclass
class Settings:
    k: float = 1.0
    names: list = dataclasses.field(default_factory=list)
    inner: typing.Any = None

    def __post_init__(self):
        self.doubled = self.k * 2


@odd
def state_of_a_module_changes(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    net.mode = "double"
    f(grid())
    net.k = 3.0
    f(grid())
    net.scale = torch.full((3,), 2.0)
    f(grid())
    net.scale.mul_(2)
    f(grid())
    r.see(net.seen, net.history)
    del net.first.bias
    net.first.register_parameter("bias", None)
    f(grid())


@odd
def layer_is_exchanged(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    net.first = nn.Sequential(nn.Flatten(), nn.Identity())
    f(grid())
    net.first = nn.Linear(3, 3, bias=False)
    nn.init.ones_(net.first.weight)
    f(grid())
    net.first.weight.data.fill_(2.0)
    f(grid())
    net.first.forward = lambda x: x * 100
    f(grid())
    del net.first.forward
    f(grid())


@odd
def state_is_loaded_and_copied(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    kept = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        net.first.weight.zero_()
    f(grid())
    net.load_state_dict(kept)
    f(grid())
    twin = copy.deepcopy(net)
    twin.k = 7.0
    g = r.compile(twin)
    g(grid())
    f(grid())
    r.see(sorted(net.state_dict()), twin.seen, net.seen)


@odd
def module_is_pickled_after_a_call(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    again = pickle.loads(pickle.dumps(net))
    r.see(again.seen, again.history)
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    buffer.seek(0)
    again.load_state_dict(torch.load(buffer))
    g = r.compile(again)
    g(grid())
    r.see(again.history, net.history)


@odd
def modes_of_layers_apart(r):
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    f = r.compile(net)
    f(grid())
    net[0].eval()
    f(grid())
    net.eval()
    f(grid())
    net[1].train()
    f(grid())
    net.train()
    net[1].p = 0.0
    net[0].momentum = None
    f(grid())
    r.see(net.state_dict())


@odd
def norm_without_statistics(r):
    norm = nn.BatchNorm1d(3, track_running_stats=False, affine=False)
    f = r.compile(norm)
    f(grid())
    f(torch.ones(1, 3))
    norm.eval()
    f(grid() * 3)
    norm.eps = 1.0
    f(grid())


@odd
def hooks_replace_results(r):
    net = Net()
    f = r.compile(net)
    f(grid())
    one = net.first.register_forward_hook(lambda m, a, out: out * 10)
    f(grid())
    two = net.register_forward_pre_hook(lambda m, a: (a[0] + 1,))
    f(grid())
    one.remove()
    f(grid())
    two.remove()
    three = net.first.register_full_backward_hook(lambda m, gi, go: r.see("backward", go[0].shape))
    f(grid().requires_grad_())
    three.remove()
    f(grid())


@odd
def parameters_are_frozen(r):
    net = Net()
    f = r.compile(net)
    for frozen in (False, True, False):
        net.first.weight.requires_grad_(not frozen)
        y = f(grid())
        if r.way != "step":
            y.sum().backward()
        r.see(net.first.weight.grad, net.first.bias.grad)
        net.zero_grad()


@odd
def weights_are_tied_later(r):
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    nn.init.eye_(net[0].weight)
    nn.init.constant_(net[1].weight, 2.0)
    f = r.compile(net)
    f(grid())
    net[1].weight = net[0].weight
    f(grid())
    y = f(grid())
    if r.way != "step":
        y.sum().backward()
        r.see(net[0].weight.grad, net[0].weight is net[1].weight)


@odd
def list_of_layers_is_walked(r):
    class Walk(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([nn.Identity(), nn.ReLU(), nn.Tanh()])
            self.table = nn.ModuleDict({"a": nn.Identity(), "b": nn.Sigmoid()})
            self.order = ["a", "b"]

        def forward(self, x):
            for i, part in enumerate(self.parts):
                x = part(x) + i
            for name in self.order:
                x = self.table[name](x)
            return x, len(self.parts), bool(self.parts), [n for n, _ in self.named_children()]

    net = Walk()
    f = r.compile(net)
    f(grid())
    net.parts.append(nn.Softplus())
    f(grid())
    net.parts[0], net.parts[1] = net.parts[1], net.parts[0]
    del net.parts[2]
    net.order.reverse()
    f(-grid())
    net.table.pop("a")
    net.order = ["b"]
    net.parts = nn.ModuleList()
    f(grid())


@odd
def forward_returns_by_mode(r):
    class Aux(nn.Module):
        def forward(self, x):
            if self.training:
                return {"main": x * 2, "aux": x + 1}
            return x * 2

    net = Aux()
    f = r.compile(net)
    f(grid())
    net.eval()
    f(grid())
    net.train()
    f(grid())


@odd
def module_called_by_itself(r):
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))

        def forward(self, x, depth):
            return x if depth == 0 else self(x * self.scale, depth - 1) + depth

    net = Deep()
    f = r.compile(net)
    for depth in (0, 1, 3, 1):
        f(grid(), depth)


@odd
def module_made_by_its_first_call(r):
    class Late(nn.Module):
        def forward(self, x):
            if not hasattr(self, "weight"):
                self.weight = nn.Parameter(torch.full((x.shape[1],), 3.0))
            return x * self.weight

    net = Late()
    f = r.compile(net)
    f(grid())
    f(grid())
    r.see([n for n, _ in net.named_parameters()])


@odd
def cached_tables_of_sizes(r):
    class Rotary(nn.Module):
        def __init__(self):
            super().__init__()
            self.length, self.table = 0, None

        def forward(self, x):
            if x.shape[0] > self.length:
                self.length = x.shape[0]
                self.table = torch.arange(float(self.length))[:, None]
            return x + self.table[: x.shape[0]]

    net = Rotary()
    f = r.compile(net)
    for rows in (2, 1, 4, 3, 5):
        f(torch.ones(rows, 3))
        r.see(net.length, net.table.shape)


@odd
def moving_average_of_a_copy(r):
    net, mean = Net(), Net()

    def f(x):
        y = net(x)
        with torch.no_grad():
            for a, b in zip(mean.parameters(), net.parameters(), strict=True):
                a.lerp_(b, 0.5).add_(0.25)
        return y + mean(x)

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(mean.first.bias, mean.seen)


@odd
def gradients_are_switched(r):
    def f(x):
        with torch.no_grad():
            a = x * 2
        with torch.enable_grad():
            b = x * 3
        with torch.set_grad_enabled(x.shape[0] > 1):
            c = x * 4
        return a, b, c, torch.is_grad_enabled()

    f = r.compile(f)
    for sizes in ((2, 3), (1, 3)):
        f(torch.ones(sizes).requires_grad_())
        with torch.no_grad():
            f(torch.ones(sizes).requires_grad_())


@odd
def autocast_comes_and_goes(r):
    net = nn.Linear(3, 3)
    nn.init.ones_(net.weight)
    nn.init.zeros_(net.bias)

    def f(x, on):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=on):
            y = net(x)
            with torch.autocast("cpu", enabled=False):
                z = x @ x.t()
        return y, z, torch.is_autocast_enabled("cpu")

    f = r.compile(f)
    for on in (True, False, True):
        f(grid(), on)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        f(grid(), True)


@odd
def enums_choose(r):
    def f(x, level, way):
        if level is Level.HIGH:
            x = x * level
        if Way.UP in way:
            x = x + way.value
        match level:
            case Level.LOW:
                x = x - 1
            case _:
                x = x - 2
        return x, level.name, way | Way.DOWN, level + 1

    f = r.compile(f)
    for level, way in ((Level.LOW, Way.UP), (Level.HIGH, Way.DOWN), (Level.HIGH, Way.UP | Way.DOWN)):
        f(grid(), level, way)


@odd
def dataclass_is_changed_and_replaced(r):
    def f(x, s):
        s.k += 1
        s.names.append(len(s.names))
        other = dataclasses.replace(s, k=s.k * 2, inner=x * s.k)
        return other.inner * other.doubled, other.names is s.names, dataclasses.asdict(Settings(k=s.k)), s == other

    f = r.compile(f)
    s = Settings()
    for _ in range(3):
        f(grid(), s)
        r.see(s.k, s.names, s.doubled)


@odd
def dispatch_by_type(r):
    @functools.singledispatch
    def size(value):
        return 0.0

    @size.register
    def _(value: int):
        return value * 1.0

    @size.register(list)
    def _(value):
        return sum(size(v) for v in value)

    f = r.compile(lambda x, v: x * size(v))
    f(grid(), 3)
    f(grid(), [1, 2, "a"])
    f(grid(), "text")
    size.register(str, lambda value: 50.0)
    f(grid(), "text")
    f(grid(), [1, 2, "a"])


@odd
def partial_with_changed_parts(r):
    def scale(x, k, *, plus=0.0, table=None):
        return x * k + plus + (table or {}).get("extra", 0.0)

    table = {}
    g = functools.partial(scale, k=2.0, table=table)
    f = r.compile(lambda x: g(x))
    f(grid())
    table["extra"] = 5.0
    f(grid())
    g.keywords["plus"] = 1.0
    f(grid())
    g = functools.partial(g, k=9.0)
    f(grid())


@odd
def cached_by_arguments(r):
    calls = []

    @functools.lru_cache(maxsize=2)
    def table(n):
        calls.append(n)
        return torch.arange(float(n))

    f = r.compile(lambda x: x + table(x.shape[1]))
    for n in (3, 4, 3, 5, 4):
        f(torch.ones(2, n))
    r.see(calls, table.cache_info())
    table.cache_clear()
    f(torch.ones(2, 3))
    r.see(calls)


@odd
def matching_shapes_of_data(r):
    def f(x, data):
        match data:
            case {"kind": "scale", "by": float(k), **rest}:
                return x * k, len(rest)
            case [first, *_, last] if first != last:
                return x + first + last, 2
            case (single,) | [single]:
                return x * single, 1
            case SimpleNamespace(k=int(k)):
                return x - k, 0
            case None | "":
                return x, None
            case str() as text:
                return x * len(text), text
        return x * 0, "none"

    f = r.compile(f)
    for data in (
        {"kind": "scale", "by": 2.0, "more": 1},
        {"kind": "scale", "by": 2},
        [1, 2, 3],
        [4],
        (1, 1),
        SimpleNamespace(k=3),
        SimpleNamespace(k=3.0),
        None,
        "abc",
    ):
        f(grid(), data)


@odd
def arguments_of_every_form(r):
    def f(x, /, a, *rest, b=2.0, **more):
        return x * a + b + sum(rest) + sum(more.values()), len(rest), sorted(more)

    f = r.compile(f)
    f(grid(), 1.0)
    f(grid(), 1.0, 2.0, 3.0, b=1.0, c=4.0)
    f(grid(), a=5.0, z=1.0)
    f(grid(), *[1.0, 2.0], b=3.0, q=4.0)
    f(grid())


@odd
def parameter_given_twice(r):
    def f(x, a, **more):
        return x * a + sum(more.values())

    f = r.compile(f)
    f(grid(), 1.0, b=2.0)
    f(grid(), 1.0, a=2.0)


@odd
def threads_call_one_function(r):
    box = SimpleNamespace(k=1.0)
    f = r.compile(lambda x, n: x * box.k + n)
    found = {}

    def work(n):
        found[n] = f(grid(), float(n)) is not None

    for n in range(4):
        box.k = n * 2.0
        thread = threading.Thread(target=work, args=(n,))
        thread.start()
        thread.join()
    r.see(found)


@odd
def random_numbers_of_three_kinds(r):
    def f(x, draws):
        y = x * random.random() + torch.rand(3)
        if draws:
            y = y + torch.randn_like(x) + random.choice([1.0, 2.0])
        return y, random.randint(0, 10), torch.randperm(4), torch.bernoulli(torch.full((3,), 0.5))

    f = r.compile(f)
    for draws in (True, False, True):
        f(grid(), draws)
    torch.manual_seed(5)
    random.seed(5)
    f(grid(), True)


@odd
def subclass_of_tensor_keeps_its_kind(r):
    class Named(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            out = super().__torch_function__(func, types, args, kwargs or {})
            if isinstance(out, Named):
                out.origin = getattr(func, "__name__", "?")
            return out

    f = r.compile(lambda x: x.sin() * 2)
    y = f(grid().as_subclass(Named))
    r.see(type(y).__name__, getattr(y, "origin", None))
    f(grid())


@odd
def functional_layers_with_flags(r):
    f = r.compile(
        lambda x, mode: (
            F.interpolate(x[None, None], scale_factor=2, mode=mode),
            F.pad(x, (1, 1), mode="constant", value=-1.0),
            F.normalize(x, dim=1),
            F.unfold(x[None, None], (2, 2)),
        )
    )
    for mode in ("nearest", "bilinear", "nearest"):
        f(grid(), mode)
