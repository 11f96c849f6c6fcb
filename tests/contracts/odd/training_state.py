"""State of a training script that lives from call to call: counters, generators, windows, exceptions."""

from __future__ import annotations

import collections
import logging
import math
import random

import numpy as np
import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

LOG = logging.getLogger("odd")


_CALLS = 0


_DEPTHS: dict[int, int] = {}


def _split(x, depth):
    global _CALLS
    _CALLS += 1
    _DEPTHS[depth] = _DEPTHS.get(depth, 0) + 1
    if x.numel() <= 1 or (x.max() - x.min()).item() < 1.0:
        return x.mean()
    mid = len(x) // 2
    return _split(x[:mid], depth + 1) + 2 * _split(x[mid:], depth + 1)


@odd
def slotted_state_with_tensors(r):
    class State:
        __slots__ = ("__weakref__", "count", "mean", "seen")

        def __init__(self):
            self.mean, self.count = torch.zeros(3), 0

        def push(self, x):
            self.count += 1
            self.mean = self.mean + (x.mean(0) - self.mean) / self.count
            return self

    s = State()

    def f(x, s):
        s.push(x).push(x * 2)
        if not hasattr(s, "seen"):
            s.seen = x.shape
            return s.mean
        del s.seen
        return x - s.mean

    f = r.compile(f)
    for k in range(4):
        f(grid(k + 1.0), s)
        r.see(s.mean, s.count, hasattr(s, "seen"))


@odd
def default_that_remembers(r):
    def f(x, history=[], *, table={"n": 0}):  # noqa: B006
        history.append(float(x.sum()))
        table["n"] += 1
        if len(history) > 2:
            history.pop(0)
        return x * sum(history), table["n"], table

    g = r.compile(f)
    for k in range(4):
        g(grid(k))
    mine = []
    g(grid(), mine)
    g(grid(), history=mine, table={"n": 7})
    r.see(mine, f.__defaults__, f.__kwdefaults__)


@odd
def numpy_scalars_and_promotion(r):
    def f(x, k):
        y = x * k
        z = x.to(torch.int32) * k
        return y, z, (x > k), torch.as_tensor(k) + x.half(), np.float64(2) * x, type(k).__name__

    f = r.compile(f)
    for k in (np.float32(1.5), np.float64(2.5), np.int64(3), np.bool_(True), np.int8(-2), np.float16(0.25)):
        f(grid(), k)
    f(grid(), np.float64(7.5))


@odd
def one_list_under_two_names(r):
    shared = [torch.ones(3), torch.zeros(3)]
    box = {"a": shared, "b": shared}

    def f(x, box):
        box["a"].append(x.sum(0))
        first = box["b"].pop(0)
        box["b"][0].add_(1)
        box["c"] = box["a"]
        return x + first, len(box["b"]), box["a"] is box["b"]

    f = r.compile(f)
    f(grid(), box)
    r.see(shared, sorted(box))
    f(grid(), box)
    box["b"] = list(shared)
    f(grid(), box)
    r.see(shared, box["b"])


@odd
def writes_through_views_of_views(r):
    def f(x):
        t = x.t()
        t[1:].diagonal().add_(10)
        x.view(-1)[::2] *= -1
        s = x.unfold(1, 2, 1)
        x[0, 0] = 100.0
        t.select(0, 2).copy_(t[0])
        return s * 1, t, x.sum()

    f = r.compile(f)
    f(grid())
    base = torch.arange(12.0).reshape(4, 3)
    f(base[1:3])
    r.see(base)
    f(base.t()[:2, :3])
    r.see(base)


@odd
def tied_weights_untied(r):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, i):
            return self.head(self.embed(i).tanh()), self.head.weight is self.embed.weight

    m = Tied()
    f = r.compile(m)
    i = torch.tensor([0, 4, 2])
    f(i)
    r.see(m.embed.weight, m.head.weight)
    m.head.weight = nn.Parameter(m.embed.weight.detach().clone() * 2)
    f(i)
    r.see(m.embed.weight, m.head.weight)
    m.embed.weight = m.head.weight
    f(i)
    r.see(m.embed.weight)


@odd
def generators_of_their_own(r):
    gen = torch.Generator().manual_seed(7)
    rng = np.random.default_rng(3)

    def f(x, gen):
        noise = torch.randn(x.shape, generator=gen)
        if rng.random() < 0.5:
            x = x + torch.rand(3)
        return x + noise, torch.randperm(4, generator=gen), rng.integers(0, 9)

    f = r.compile(f)
    f(grid(), gen)
    state = gen.get_state()
    f(grid(), gen)
    gen.set_state(state)
    f(grid(), gen)
    f(grid(), None)
    r.see(gen.initial_seed(), random.random())


@odd
def progress_lines(r):
    def f(x, epoch, total):
        loss = x.square().mean()
        print(f"\repoch {epoch:>2}/{total} loss={loss:.3f} {loss.item():.5g} {tuple(x.shape)}", end="", flush=True)
        if epoch == total:
            print()
        LOG.info("%s %d %.2f", x[0, :2], epoch, loss)
        return loss, f"{loss:.4g}", "{:5.1f}|{!s}".format(loss, x.dtype)

    f = r.compile(f)
    for e in range(1, 4):
        f(grid(0.1 * e), e, 3)


@odd
def recursion_with_global_counts(r):
    global _CALLS
    _CALLS = 0
    _DEPTHS.clear()
    f = r.compile(lambda x: (_split(x.reshape(-1), 0), _CALLS))
    f(grid())
    r.see(_CALLS, _DEPTHS)
    f(grid(0.1))
    r.see(_CALLS, _DEPTHS)
    _CALLS = 100
    f(grid().requires_grad_())
    r.see(_CALLS, _DEPTHS)


@odd
def bad_batches_are_skipped(r):
    class BadBatch(ValueError):
        def __init__(self, index, why):
            super().__init__(f"batch {index}: {why}")
            self.index = index

    skipped = []

    def check(i, b):
        if b.isnan().any():
            raise BadBatch(i, "nan")
        if b.shape[-1] != 3:
            raise BadBatch(i, f"width {b.shape[-1]}")
        return b

    def f(batches):
        total = torch.zeros(())
        for i, b in enumerate(batches):
            try:
                total = total + check(i, b).sum()
            except BadBatch as e:
                skipped.append((e.index, str(e)))
                continue
            else:
                total = total * 0.5
            finally:
                skipped.append(i)
        if not total:
            raise RuntimeError("nothing left") from None
        return total

    f = r.compile(f)
    f([grid(), grid() * math.nan, torch.ones(2, 2)])
    r.see(skipped)
    f([grid(), grid(2.0)])
    f([grid() * math.inf * 0])
    r.see(skipped)


@odd
def newton_until_it_settles(r):
    def f(a, tol=1e-4):
        x, n = a.clone(), 0
        while (err := (x * x - a).abs().max()) > tol:
            x = 0.5 * (x + a / x)
            n += 1
            if n > 20:
                return x, n, "gave up"
        return x, n, err < tol

    f = r.compile(f)
    f(torch.tensor([2.0, 9.0]))
    f(torch.tensor([100.0]), tol=1e-2)
    f(torch.tensor([1.0, 4.0]).requires_grad_())
    f(torch.tensor([-1.0]))


@odd
def sorted_by_tensors(r):
    def f(pairs):
        ordered = sorted(pairs, key=lambda p: p[1].item(), reverse=True)
        best = max(pairs, key=lambda p: p[1])
        worst = min((p[1] for p in pairs), default=None)
        names = [n for n, v in ordered if v > 1]
        return names, best[0], worst, ordered[0][1] * len(names), sum(v for _, v in pairs)

    f = r.compile(f)
    f([("a", torch.tensor(1.0)), ("b", torch.tensor(3.0)), ("c", torch.tensor(2.0))])
    f([("x", torch.tensor(5.0)), ("y", torch.tensor(0.5))])
    f([("a", torch.tensor(1.0)), ("b", torch.tensor(1.0)), ("c", torch.tensor(1.0))])
    f([])


@odd
def windows_of_losses(r):
    window = collections.deque(maxlen=3)
    history = collections.defaultdict(list)
    settings = collections.ChainMap({}, {"lr": 0.1, "name": "base"})

    def f(x, name=None):
        loss = x.mean()
        window.append(loss)
        history[name or settings["name"]].append(loss.detach())
        smooth = sum(window) / len(window)
        if len(window) == window.maxlen and window[-1] > smooth:
            settings["lr"] *= 0.5
            window.rotate(1)
        return smooth * settings["lr"], len(history)

    f = r.compile(f)
    for k in range(5):
        f(grid(k), "odd" if k % 2 else None)
        r.see(settings, settings.maps[1], dict(history), list(window))
    del settings["lr"]
    f(grid())
