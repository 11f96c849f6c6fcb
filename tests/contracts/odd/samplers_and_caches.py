"""What users write around their models: samplers, caches, schedules, settings."""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import functools
import itertools
import math
import random
import re
import string
import types
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.odd.recorder import grid, odd


@odd
def vocabulary_that_grows(r):
    vocab = {"<unk>": 0}
    table = nn.Embedding(8, 3)

    def encode(text, grow):
        ids = []
        for word in (each.strip(string.punctuation) for each in text.lower().split()):
            if grow and word not in vocab and len(vocab) < 8:
                vocab[word] = len(vocab)
            ids.append(vocab.get(word, 0))
        return ids

    def f(x, text, grow=True):
        ids = encode(text, grow)
        return x + table(torch.tensor(ids)).mean(0), ids

    call = r.compile(f)
    call(grid(), "The cat, the dog")
    call(grid(), "a cat sat", False)
    call(grid(), "a cat sat.")
    call(grid(), "The cat, the dog")
    r.see(vocab)


@odd
def mixed_up_batches(r):
    config = types.SimpleNamespace(alpha=0.4, on=True)

    def f(x, y):
        if not config.on or random.random() > 0.8:
            return x, y
        lam = float(np.random.beta(config.alpha, config.alpha))
        order = torch.randperm(len(x))
        return lam * x + (1 - lam) * x[order], lam * y + (1 - lam) * y[order]

    call = r.compile(f)
    for k in range(4):
        call(grid(), torch.eye(2))
        if k == 1:
            config.alpha = 2.0
    config.on = False
    call(grid(), torch.eye(2))


class Phase(enum.Flag):
    WARM = enum.auto()
    MAIN = enum.auto()
    BOTH = WARM | MAIN


@odd
def curriculum_with_flags(r):
    class Course:
        def __init__(self):
            self.step, self.phase = 0, Phase.WARM

        @property
        def difficulty(self):
            return min(1.0, self.step / 4) if Phase.MAIN in self.phase else 0.1

        def advance(self):
            self.step += 1
            if self.step == 2:
                self.phase |= Phase.MAIN
            elif self.step == 4:
                self.phase &= ~Phase.WARM

    course = Course()

    def f(x):
        course.advance()
        y = x * course.difficulty
        return y + (1 if Phase.WARM in course.phase else 0)

    call = r.compile(f)
    for _ in range(6):
        call(grid())
        r.see(course.step, str(course.phase))
    course.phase = Phase.BOTH
    call(grid())


@odd
def smoothed_values(r):
    class Smoothed:
        def __init__(self, size=3):
            self.deque, self.total, self.count = collections.deque(maxlen=size), 0.0, 0

        def update(self, value):
            self.deque.append(value)
            self.count += 1
            self.total += value

        @property
        def median(self):
            return torch.tensor(list(self.deque)).median().item()

        def __str__(self):
            return f"{self.median:.3f} ({self.total / self.count:.3f})"

    values = Smoothed()

    def f(x, k):
        values.update(k * 0.5)
        return x + values.median, str(values)

    call = r.compile(f)
    for k in (1, 5, 3, 9, 2):
        call(grid(), k)
        r.see(list(values.deque), values.count)


@odd
def power_iteration(r):
    class Spectral(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.arange(9.0).reshape(3, 3) / 5)
            self.register_buffer("u", F.normalize(torch.ones(3), dim=0))
            self.register_buffer("rounds", torch.zeros((), dtype=torch.long), persistent=False)

        def forward(self, x):
            w = self.weight
            if self.training:
                with torch.no_grad():
                    v = F.normalize(w.T @ self.u, dim=0)
                    self.u.copy_(F.normalize(w @ v, dim=0))
                    self.rounds += 1
            v = F.normalize(w.T @ self.u, dim=0)
            return x @ (w / (self.u @ w @ v)).T

    net = Spectral()
    f = r.compile(net)
    f(grid())
    f(grid(0.5))
    r.see(net.u, net.rounds)
    net.eval()
    f(grid())
    r.see(net.u, net.rounds)
    net.train()
    net.u = torch.tensor([1.0, 0.0, 0.0])
    f(grid())
    r.see(net.u, net.rounds, net.state_dict())


@dataclasses.dataclass
class Output(collections.OrderedDict):
    logits: torch.Tensor = None
    loss: torch.Tensor = None
    hidden: tuple = None

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                self[field.name] = getattr(self, field.name)

    def to_tuple(self):
        return tuple(self[k] for k in self.keys())


@odd
def output_as_dict_and_tuple(r):
    net = nn.Linear(3, 2)

    def f(x, labels=None, keep=False):
        hidden = (x,)
        logits = net(x)
        loss = F.cross_entropy(logits, labels) if labels is not None else None
        out = Output(logits, loss, (*hidden, logits) if keep else None)
        return out.to_tuple(), list(out), out["logits"] is out.logits

    call = r.compile(f)
    call(grid(0.1))
    call(grid(0.1), torch.tensor([0, 1]))
    call(grid(0.1), keep=True)
    call(grid(0.1), torch.tensor([0, 1]), True)


@functools.lru_cache(maxsize=8)
def _axes(pattern):
    left, right = (side.split() for side in pattern.split("->"))
    if sorted(left) != sorted(right):
        raise ValueError(f"axes differ: {pattern}")
    return tuple(left.index(name) for name in right)


@odd
def axes_by_pattern(r):
    _axes.cache_clear()

    def f(x, pattern):
        return x.permute(*_axes(pattern)).contiguous()

    call = r.compile(f)
    cube = torch.arange(24.0).reshape(2, 3, 4)
    for pattern in ("a b c -> c a b", "a b c -> a c b", "a b c -> c a b", "a b -> b a c", "x y z -> z y x"):
        call(cube, pattern)
        info = _axes.cache_info()
        r.see(info.hits, info.misses)
    call(cube[:, :2], "a b c -> c a b")


@odd
def scalers_made_in_a_loop(r):
    def make(scales):
        late = [lambda x: x * s for s in scales]
        bound = [lambda x, s=s: x + s for s in scales]
        return late, bound

    scales = [1.0, 2.0, 3.0]
    late, bound = make(scales)

    def f(x):
        for a, b in zip(late, bound, strict=True):
            x = b(a(x))
        return x

    call = r.compile(f)
    call(grid())
    late[0] = torch.neg
    call(grid())
    bound.append(torch.relu)
    call(grid())
    bound.pop(0)
    call(grid())


@odd
def twin_compared_inside(r):
    net = nn.Linear(3, 2)
    before = copy.deepcopy(net)

    def f(x):
        drift = sum((a - b).abs().sum() for a, b in zip(net.parameters(), before.parameters(), strict=True))
        return net(x), drift

    call = r.compile(f)
    call(grid())
    with torch.no_grad():
        net.weight.add_(1)
    call(grid())
    before.load_state_dict(net.state_dict())
    call(grid())
    net.bias = None
    call(grid())


@odd
def tokens_sampled_with_seeds(r):
    def f(logits, seed, temperature=1.0, top=None):
        g = torch.Generator().manual_seed(seed)
        logits = logits / temperature
        if top is not None:
            bar = logits.topk(top, -1).values[..., -1:]
            logits = logits.masked_fill(logits < bar, -math.inf)
        p = logits.softmax(-1)
        return torch.multinomial(p, 2, replacement=True, generator=g), p

    call = r.compile(f)
    call(grid(0.3), 1)
    call(grid(0.3), 1)
    call(grid(0.3), 2, 0.5)
    call(grid(0.3), 2, 0.5, 2)
    call(grid(0.3), 2, top=1)


@odd
def best_by_a_key(r):
    log = []

    def f(xs):
        scored = [(x.norm().item(), i) for i, x in enumerate(xs)]
        order = sorted(range(len(xs)), key=lambda i: (-scored[i][0], i))
        log.append(order)
        top, *rest = (xs[i] for i in order)
        return top - sum(rest, start=torch.zeros(3))

    call = r.compile(f)
    call([torch.ones(3), torch.full((3,), 3.0), torch.full((3,), 2.0)])
    call([torch.full((3,), 4.0), torch.ones(3)])
    call([torch.ones(3)])
    call([])
    r.see(log)


@odd
def writes_by_every_index(r):
    def f(x, rows):
        y = x.clone()
        y[0] = 1
        y[..., -1] += 2
        y[rows] *= 3
        y[y > 9] = 0
        y[:, ::2] = y[:, ::2].flip(1)
        y[0, 1], y[1, 0] = y[1, 0].clone(), y[0, 1].clone()
        x[1:] += y[:1]
        return y, x.T

    call = r.compile(f)
    call(grid(), [1])
    call(grid(2.0), [0, 1])
    call(grid(), torch.tensor([True, False]))
    call(grid(), slice(None))
    call(torch.cat([grid(), grid()]), [3, 0])


@odd
def experts_added_at_run_time(r):
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleDict()

        def forward(self, x, domain):
            if domain not in self.experts:
                layer = nn.Linear(3, 3, bias=False)
                nn.init.constant_(layer.weight, len(self.experts) + 1)
                self.experts[domain] = layer
            return self.experts[domain](x)

    net = Experts()
    f = r.compile(lambda x, d: net(x, d))
    for domain in ("news", "code", "news", "talk"):
        f(grid(), domain)
        r.see(list(net.experts), len(list(net.parameters())))
    del net.experts["news"]
    f(grid(), "news")
    r.see(net.state_dict())


@odd
def features_by_threads(r):
    done = []

    def feature(x, k):
        done.append(k)
        return x.roll(k, 1).sum(1)

    def f(x):
        with ThreadPoolExecutor(1) as pool:
            parts = list(pool.map(lambda k: feature(x, k), range(3)))
        return torch.stack(parts).mean(0)

    call = r.compile(f)
    call(grid())
    call(grid(2.0))
    r.see(done)


@odd
def chain_of_settings(r):
    defaults = {"drop": 0.0, "scale": 2.0}
    user = {}
    settings = collections.ChainMap(user, defaults)

    class Proxy:
        def __getattr__(self, name):
            try:
                return settings[name]
            except KeyError:
                raise AttributeError(f"no setting {name}") from None

    cfg = Proxy()

    def f(x):
        x = F.dropout(x, cfg.drop)
        if hasattr(cfg, "shift"):
            x = x + cfg.shift
        return x * cfg.scale

    call = r.compile(f)
    call(grid())
    user["scale"] = 3.0
    call(grid())
    defaults["shift"] = 1.0
    call(grid())
    user["drop"] = 0.5
    call(grid())
    del defaults["scale"], user["scale"]
    call(grid())


@odd
def observers_of_a_model(r):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(3, 3)
            self._watching = weakref.WeakSet()

        def forward(self, x):
            x = self.lin(x)
            for w in sorted(self._watching, key=lambda w: w.name):
                w.rows.append(w.name + str(x.shape[0]))
            return x * (1 + len(self._watching))

    class Watcher:
        def __init__(self, name):
            self.name, self.rows = name, []

    net = Model()
    a, b = Watcher("a"), Watcher("b")
    f = r.compile(lambda x: net(x))
    f(grid())
    net._watching.add(a)
    f(grid())
    net._watching.add(b)
    f(grid()[:1])
    r.see(a.rows, b.rows)
    del b
    f(grid())
    r.see(a.rows, len(net._watching))


@odd
def retries_with_smaller_batches(r):
    attempts = []

    class TooLarge(RuntimeError):
        pass

    def work(x, limit):
        attempts.append(len(x))
        if len(x) > limit:
            raise TooLarge(f"{len(x)} > {limit}")
        return x.cumsum(0)

    def f(x, limit):
        n = len(x)
        while True:
            try:
                return torch.cat([work(part, limit) for part in x.split(n)])
            except TooLarge as error:
                if n == 1:
                    raise ValueError("cannot split") from error
                n = math.ceil(n / 2)

    call = r.compile(f)
    call(torch.ones(4, 3), 4)
    call(torch.ones(4, 3), 2)
    call(torch.ones(4, 3), 1)
    call(torch.ones(4, 3), 0)
    call(torch.ones(5, 3), 2)
    r.see(attempts)


@odd
def layerwise_rates(r):
    net = nn.Sequential(collections.OrderedDict(stem=nn.Linear(3, 3), body=nn.Linear(3, 3), head=nn.Linear(3, 1)))
    rates = {r"^stem": 0.0, r"^body": 0.1, r".*": 1.0}

    def f(x):
        penalty = x.new_zeros(())
        for name, p in net.named_parameters():
            rate = next(v for pattern, v in rates.items() if re.search(pattern, name))
            if rate:
                penalty = penalty + rate * p.square().sum()
        return net(x).mean() + penalty

    call = r.compile(f)
    call(grid())
    rates["^stem"] = 0.5
    call(grid())
    del rates["^body"]
    call(grid())
    rates.pop(r".*")
    call(grid())


@odd
def statistics_kept_by_hooks(r):
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    stats = collections.defaultdict(list)
    handles = {}

    def watch(name):
        def hook(module, args, out):
            stats[name].append((tuple(out.shape), round(out.detach().mean().item(), 4)))

        handles[name] = dict(net.named_modules())[name].register_forward_hook(hook)

    call = r.compile(lambda x: net(x).sum(1))
    call(grid())
    watch("0")
    call(grid())
    watch("2")
    call(grid(0.5))
    handles.pop("0").remove()
    call(grid())
    r.see(stats)


@odd
def version_of_the_schedule(r):
    class Schedule:
        def __init__(self, points):
            self.points = sorted(points)

        def __getitem__(self, step):
            before = [v for at, v in self.points if at <= step]
            if not before:
                raise IndexError(step)
            return before[-1]

        def __len__(self):
            return len(self.points)

        def __iter__(self):
            return (v for _, v in self.points)

        def __contains__(self, v):
            return any(v == each for each in self)

    schedule, step = Schedule([(0, 1.0), (2, 0.5)]), 0

    def f(x):
        nonlocal step
        step += 1
        return x * schedule[step] * (2 if 0.25 in schedule else 1), len(schedule), sum(schedule)

    call = r.compile(f)
    for _ in range(3):
        call(grid())
    schedule.points.append((3, 0.25))
    call(grid())
    schedule = Schedule([(9, 1.0)])
    call(grid())
    r.see(step)


@odd
def layers_grouped_and_paired(r):
    layers = [nn.Linear(3, 3), nn.ReLU(), nn.ReLU(), nn.Linear(3, 3), nn.Tanh()]

    def f(x):
        names = []
        for kind, each in itertools.groupby(layers, key=lambda m: type(m).__name__):
            group = list(each)
            names.append((kind, len(group)))
            for layer in group:
                x = layer(x)
        widths = list(itertools.accumulate(n for _, n in names))
        return x * widths[-1], names, [b - a for a, b in itertools.pairwise(widths)]

    call = r.compile(f)
    call(grid())
    layers.append(nn.Tanh())
    call(grid())
    layers[1:3] = []
    call(grid())
