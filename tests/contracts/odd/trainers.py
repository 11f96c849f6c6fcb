"""What users write around their models: trainers, callbacks, meters, augmentations."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import heapq
import json
import logging
import random
import re
import time
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.odd.recorder import grid, odd

LOG = logging.getLogger("odd")


class Meter:
    def __init__(self, window=3):
        self.values, self.window, self.total, self.count = [], window, 0.0, 0

    def update(self, value, n=1):
        self.values.append(value)
        if len(self.values) > self.window:
            self.values.pop(0)
        self.total += value * n
        self.count += n

    @property
    def average(self):
        return self.total / max(self.count, 1)


@odd
def meters_of_a_trainer(r):
    meters = collections.defaultdict(Meter)
    net = nn.Linear(3, 2)

    def step(x, split):
        out = net(x)
        loss = out.square().mean()
        meters[split + "/loss"].update(loss.item(), len(x))
        meters[split + "/n"].update(len(x))
        return loss, meters[split + "/loss"].average

    f = r.compile(step)
    for split, x in (("train", grid(0.1)), ("train", grid(0.2)), ("val", grid()), ("train", grid(-0.1))):
        f(x, split)
        r.see({k: (m.values, m.total, m.count) for k, m in meters.items()})
    del meters["train/loss"]
    f(grid(0.3), "train")
    r.see(sorted(meters), meters["train/loss"].count)


@odd
def callback_removes_itself(r):
    class Once:
        def __init__(self, owner):
            self.owner, self.fired = owner, 0

        def on_batch(self, step, value):
            self.fired += 1
            if self.fired == 2:
                self.owner.remove(self)

    class History:
        def __init__(self):
            self.rows = []

        def on_batch(self, step, value):
            self.rows.append((step, tuple(value.shape)))

    callbacks = []
    once, history = Once(callbacks), History()
    callbacks += [once, history]
    state = {"step": 0}

    def f(x):
        y = torch.relu(x - state["step"])
        for c in list(callbacks):
            c.on_batch(state["step"], y)
        state["step"] += 1
        return y.sum(1)

    call = r.compile(f)
    for _ in range(4):
        call(grid())
        r.see(once.fired, history.rows, len(callbacks), state)
    callbacks.insert(0, Once(callbacks))
    call(grid(2.0))
    r.see(len(callbacks), history.rows)


ACTIVATIONS = {}


def register(name):
    def wrap(fn):
        ACTIVATIONS[name] = fn
        return fn

    return wrap


@odd
def activations_by_name(r):
    ACTIVATIONS.clear()
    register("relu")(torch.relu)

    @register("square")
    def square(x):
        return x.relu() ** 2

    config = {"act": "relu", "layers": ["relu", "square"]}

    def f(x):
        for name in config["layers"]:
            x = ACTIVATIONS[name](x) + 0.5
        return ACTIVATIONS[config["act"]](x)

    call = r.compile(f)
    call(grid(-0.5))
    config["act"] = "square"
    call(grid(-0.5))
    register("square")(lambda x: x * 3)
    call(grid(-0.5))
    config["layers"] = ["square", "missing"]
    call(grid(-0.5))
    register("missing")(torch.tanh)
    call(grid(-0.5))


@odd
def loss_that_skips_what_is_not_finite(r):
    state = {"skipped": 0, "last": None}

    def f(x, scale):
        loss = (x * scale).log().sum()
        if not torch.isfinite(loss):
            state["skipped"] += 1
            LOG.warning("skipped batch %d", state["skipped"])
            return x.new_zeros(())
        state["last"] = round(float(loss), 3)
        return loss

    call = r.compile(f)
    for x, s in ((grid(), 1.0), (grid(-1.0), 1.0), (grid(), 0.0), (grid(2.0), 3.0)):
        call(x, s)
        r.see(state)


@odd
def window_of_keys_and_values(r):
    class Attend(nn.Module):
        def __init__(self, window):
            super().__init__()
            self.q, self.k, self.v = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
            self.window, self.cache = window, None

        def forward(self, x, use_cache=True):
            k, v = self.k(x), self.v(x)
            if use_cache and self.cache is not None:
                k, v = torch.cat([self.cache[0], k]), torch.cat([self.cache[1], v])
            if use_cache:
                self.cache = (k[-self.window :].detach(), v[-self.window :].detach())
            return torch.softmax(self.q(x) @ k.T, -1) @ v

    net = Attend(3)
    f = r.compile(lambda x, c=True: net(x, c))
    for n in (1, 1, 1, 2, 1):
        f(grid(0.1)[:n])
        r.see(net.cache[0].shape)
    f(grid(0.1), False)
    net.window = 1
    f(grid(0.1))
    net.cache = None
    f(grid(0.1))
    r.see(net.cache)


@odd
def ring_of_experience(r):
    class Ring:
        def __init__(self, size):
            self.data, self.at, self.full = np.zeros((size, 3), np.float32), 0, False

        def push(self, row):
            self.data[self.at] = row
            self.at = (self.at + 1) % len(self.data)
            self.full = self.full or self.at == 0

        def sample(self, n):
            high = len(self.data) if self.full else self.at
            return torch.from_numpy(self.data[random.sample(range(high), min(n, high))])

    ring = Ring(4)

    def f(x):
        for row in x:
            ring.push(row.detach().numpy())
        return ring.sample(2).sum() + x.mean()

    call = r.compile(f)
    for k in range(4):
        call(grid(float(k + 1)))
        r.see(ring.data, ring.at, ring.full)


@odd
def running_normalizer(r):
    class Welford:
        count, mean, m2 = 0, 0.0, 0.0

        def add(self, value):
            self.count += 1
            delta = value - self.mean
            self.mean += delta / self.count
            self.m2 += delta * (value - self.mean)

        def std(self):
            return (self.m2 / (self.count - 1)) ** 0.5 if self.count > 1 else 1.0

    stats = Welford()

    def f(x, reward):
        stats.add(reward)
        return (x - stats.mean) / (stats.std() + 1e-6)

    call = r.compile(f)
    for reward in (1.0, 3.0, -2.0, 3.0, 0.5):
        call(grid(), reward)
        r.see(stats.count, stats.mean, stats.m2)
    Welford.mean = 7.0
    r.see(stats.mean)
    del stats.mean
    call(grid(), 1.0)


@odd
def timers_by_section(r):
    calls = collections.Counter()

    @contextlib.contextmanager
    def section(name):
        start = time.perf_counter()
        calls[name] += 1
        try:
            yield calls[name]
        finally:
            assert time.perf_counter() >= start
            calls["closed"] += 1

    def f(x, fail):
        with section("forward") as n:
            y = x * n
            with section("inner"):
                if fail:
                    raise ValueError(f"failed in section {n}")
                y = y + 1
        return y

    call = r.compile(f)
    for fail in (False, False, True, False):
        call(grid(), fail)
        r.see(dict(calls))


@odd
def dispatch_on_kinds_of_batches(r):
    @functools.singledispatch
    def size(batch):
        raise TypeError(f"no batch: {type(batch).__name__}")

    size.register(torch.Tensor, lambda b: b.shape[0])
    size.register(list, lambda b: sum(size(p) for p in b))

    @size.register
    def _(batch: dict) -> int:
        return max(map(size, batch.values()))

    def f(batch, x):
        return x * size(batch)

    call = r.compile(f)
    call(grid(), grid())
    call([grid(), grid()], grid())
    call({"a": grid(), "b": [grid(), grid(), grid()]}, grid())
    call((grid(),), grid())
    size.register(tuple, lambda b: 10)
    call((grid(),), grid())


@dataclasses.dataclass
class Move:
    kind: str
    by: float = 1.0


@odd
def augmentations_matched(r):
    def apply(x, op):
        match op:
            case {"name": "scale", "by": float() | int() as by}:
                return x * by
            case {"name": "chain", "steps": [first, *rest]}:
                x = apply(x, first)
                return apply(x, {"name": "chain", "steps": rest}) if rest else x
            case Move("shift", by=by) if by > 0:
                return x + by
            case Move(kind):
                return x.flip(0) if kind == "flip" else x
            case (int(i), int(j)):
                return x[[i, j]]
            case None:
                return x.clone()
            case _:
                raise ValueError(f"unknown: {op!r}")

    call = r.compile(apply)
    for op in (
        {"name": "scale", "by": 2},
        {"name": "chain", "steps": [Move("shift", 2.0), {"name": "scale", "by": 0.5}]},
        Move("flip"),
        (1, 0),
        None,
        Move("shift", -1.0),
        "what",
    ):
        call(grid(), op)


@odd
def counted_by_a_decorator(r):
    def counted(fn):
        @functools.wraps(fn)
        def wrapper(*args, **kwargs):
            wrapper.calls += 1
            wrapper.seen.append(sorted(kwargs))
            return fn(*args, **kwargs)

        wrapper.calls, wrapper.seen = 0, []
        return wrapper

    @counted
    def layer(x, *, scale=1.0, shift=0.0):
        return x * scale + shift

    def f(x, **kw):
        return layer(layer(x, **kw), shift=layer.calls)

    call = r.compile(f)
    call(grid())
    call(grid(), scale=2.0)
    layer.calls = 10
    call(grid(), scale=2.0, shift=1.0)
    call(grid(), wrong=2.0)
    r.see(layer.calls, layer.seen, layer.__name__)


@odd
def subclasses_registered_by_name(r):
    class Block(nn.Module):
        kinds = {}

        def __init_subclass__(cls, kind=None, **kw):
            super().__init_subclass__(**kw)
            Block.kinds[kind or cls.__name__.lower()] = cls

        def forward(self, x):
            return self.after(self.body(x))

        def after(self, x):
            return x

    class Scale(Block):
        def body(self, x):
            return x * 2

    class Shift(Scale, kind="shift"):
        def body(self, x):
            return super().body(x) + 1

        def after(self, x):
            return super().after(x).relu()

    blocks = {k: v() for k, v in Block.kinds.items()}

    def f(x, names):
        for name in names.split(","):
            x = blocks[name](x)
        return x

    call = r.compile(f)
    call(grid(-1.0), "scale,shift")
    call(grid(-1.0), "shift")

    class Late(Block):
        def body(self, x):
            return x - 5

    blocks["late"] = Block.kinds["late"]()
    call(grid(-1.0), "late,scale")
    Scale.body = lambda self, x: x * 7
    call(grid(-1.0), "shift")


@odd
def loader_inside_that_starts_again(r):
    class Endless:
        def __init__(self, rows):
            self.rows, self.epoch = rows, 0
            self.it = iter(rows)

        def next(self):
            try:
                return next(self.it)
            except StopIteration:
                self.epoch += 1
                self.it = iter(self.rows)
                return next(self.it)

    loader = Endless([grid(0.5), grid(2.0), grid(-1.0)])

    def f(x):
        a, b = loader.next(), loader.next()
        return x @ a.T + b.sum() + loader.epoch

    call = r.compile(f)
    for _ in range(4):
        call(grid())
        r.see(loader.epoch)
    loader.rows.append(grid(9.0))
    call(grid())
    call(grid())
    r.see(loader.epoch)


@odd
def fallback_told_once(r):
    told = set()
    table = {"mean": 2.0}

    def lookup(key, default=1.0):
        try:
            return table[key]
        except KeyError as error:
            if key not in told:
                told.add(key)
                warnings.warn(f"no {error} in the table", stacklevel=2)
            return default
        finally:
            table["asked"] = table.get("asked", 0) + 1

    call = r.compile(lambda x, k: x * lookup(k))
    for key in ("mean", "std", "std", "var", "mean"):
        call(grid(), key)
        r.see(told, table)
    table["std"] = 4.0
    call(grid(), "std")


@odd
def momentum_by_hand(r):
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    velocity = {}

    def step(x, lr):
        loss = net(x).square().mean()
        grads = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for (name, p), g in zip(net.named_parameters(), grads, strict=True):
                v = velocity.setdefault(name, torch.zeros_like(p))
                v.mul_(0.9).add_(g)
                p.sub_(lr * v)
        return loss.detach()

    call = r.compile(step)
    for lr in (0.1, 0.1, 0.05):
        call(grid(0.1), lr)
        r.see(net.state_dict(), velocity)
    velocity.clear()
    call(grid(0.1), 0.1)
    r.see(net.state_dict())


@odd
def masks_by_pattern(r):
    net = nn.ModuleDict({"enc": nn.Linear(3, 3), "dec": nn.Linear(3, 2)})
    masks = {}

    def f(x):
        for name, layer in net.items():
            w = layer.weight
            for pattern, mask in masks.items():
                if re.match(pattern, name):
                    w = w * mask
            x = F.linear(x, w, layer.bias)
        return x

    call = r.compile(f)
    call(grid())
    masks["enc"] = (torch.arange(9).reshape(3, 3) % 2).float()
    call(grid())
    masks[".*c"] = 0.5
    call(grid())
    masks.pop("enc")
    net["extra"] = nn.Linear(2, 2)
    call(grid())


@odd
def told_in_an_f_string(r):
    state = {"epoch": 1, "best": float("inf")}

    def f(x, name):
        y = x.mean(1)
        print(f"{name=!r} {tuple(x.shape)} {x.dtype} {state['epoch']:03d} {state['best']:.2f} {len(y)=}")
        state["epoch"] += 1
        state["best"] = min(state["best"], 1 / state["epoch"])
        return y

    call = r.compile(f)
    call(grid(), "train")
    call(grid().double(), "train")
    call(grid()[:1], "eval")
    call(grid(), "train")
    r.see(state)


@odd
def statistics_as_json(r):
    lines = []

    def f(x, tag):
        row = {"tag": tag, "n": x.numel(), "mean": round(x.mean().item(), 4), "shape": list(x.shape)}
        lines.append(json.dumps(row, sort_keys=True))
        back = json.loads(lines[-1])
        return x - back["mean"]

    call = r.compile(f)
    call(grid(), "a")
    call(grid(-2.0), "b")
    call(torch.ones(1, 2), None)
    r.see(lines)


@odd
def counted_by_shape(r):
    seen = collections.Counter()
    first = {}

    def f(x):
        key = (tuple(x.shape), x.dtype)
        seen[key] += 1
        first.setdefault(key, len(first))
        return x * seen[key] + first[key]

    call = r.compile(f)
    for x in (grid(), grid()[:1], grid(), grid().double(), torch.ones(4, 3), grid()[:1], grid()):
        call(x)
    r.see([(str(k), v) for k, v in seen.items()], list(first.values()))


@odd
def beam_of_sequences(r):
    def f(logits, width):
        beam = [(0.0, ())]
        scores = torch.log_softmax(logits, -1)
        for row in scores:
            candidates = []
            for total, tokens in beam:
                for token, score in enumerate(row.tolist()):
                    heapq.heappush(candidates, (total - score, (*tokens, token)))
            beam = [heapq.heappop(candidates) for _ in range(min(width, len(candidates)))]
        return scores.sum(), [(round(t, 4), s) for t, s in beam]

    call = r.compile(f)
    call(grid(0.3), 2)
    call(grid(-0.3), 3)
    call(grid(0.3), 2)
    call(grid(0.3)[:1], 1)
