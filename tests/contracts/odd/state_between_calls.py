"""State that lives from call to call: of tensors, layers, classes and random numbers."""

from __future__ import annotations

import copy
import inspect
import itertools
import logging
import pickle
import random
import types
import typing
import warnings
import weakref

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.odd.recorder import grid, odd

LOG = logging.getLogger("odd")


@odd
def set_of_ids(r):
    seen = set()
    order = []

    def f(xs):
        new = [x for x in xs if id(x) not in seen]
        seen.update(map(id, xs))
        order.append(len(new))
        return sum((x.sum() for x in new), torch.zeros(())), len(seen)

    g = r.compile(f)
    a, b, c = grid(), grid(2.0), grid(3.0)
    g([a, b])
    g([a, b, c])
    g((c, c))
    g([])
    r.see(order)


@odd
def views_kept_by_the_caller(r):
    kept = []

    def f(x):
        v = x[0]
        kept.append(v)
        w = x.detach().view(3, 2)
        w += 1
        if len(kept) > 1:
            kept[0].mul_(2)
        return v, x.unsqueeze(0), x

    g = r.compile(f)
    a = grid()
    g(a)
    out = g(a)
    r.see(a, kept)
    if isinstance(out, tuple):
        out[1].zero_()
    r.see(a, kept)
    g(grid(2.0))
    r.see(a, kept)


@odd
def gradients_stopped_by_flags(r):
    w = torch.ones(3, requires_grad=True)
    flags = {"w": True, "x": True}

    def f(x):
        a = x if flags["x"] else x.detach()
        b = w if flags["w"] else w.data
        y = (a * b).sum()
        if y.requires_grad and not flags["w"]:
            y = y * 2
        return y

    g = r.compile(f)
    x = grid().requires_grad_()
    for fw, fx in itertools.product((True, False), repeat=2):
        flags.update(w=fw, x=fx)
        g(x)
        out = g(x.detach())
        if r.way != "step" and out.requires_grad:
            out.backward()
        r.see(w.grad, x.grad)
    w.requires_grad_(False)
    g(x)


@odd
def layers_in_plain_lists(r):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = [nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)]
            self.table = {"act": torch.tanh}
            for i, h in enumerate(self.hidden):
                nn.init.constant_(h.weight, 0.1 * (i + 1))
            self.out = nn.Linear(3, 1)
            nn.init.constant_(self.out.weight, 0.3)
            nn.init.zeros_(self.out.bias)

        def forward(self, x):
            for h in self.hidden:
                x = self.table["act"](h(x))
            return self.out(x)

    net = Net()
    g = r.compile(net)
    g(grid())
    net.table["act"] = F.relu
    g(grid())
    net.hidden.reverse()
    g(grid())
    with torch.no_grad():
        net.hidden[0].weight.fill_(1.0)
    g(grid())
    net.hidden.append(nn.Identity())
    net.hidden = net.hidden[1:]
    g(grid())
    r.see(net, [h.weight.grad for h in net.hidden if hasattr(h, "weight")])


@odd
def hooks_with_kwargs_and_always(r):
    log = []

    class M(nn.Module):
        def forward(self, x, *, k=1, fail=False):
            if fail:
                raise KeyError("fail")
            return x * k

    m = M()
    m.register_forward_pre_hook(lambda mod, a, kw: (a, {**kw, "k": kw.get("k", 1) + 1}), with_kwargs=True)
    m.register_forward_hook(lambda mod, a, out: log.append("always"), always_call=True)
    m.register_forward_hook(lambda mod, a, kw, out: out + kw["k"], with_kwargs=True, prepend=True)
    g = r.compile(lambda x, **kw: m(x, **kw))
    g(grid())
    g(grid(), k=3)
    g(grid(), fail=True)
    m.k = 1
    g(grid(), k=2.5)
    r.see(log)


@odd
def batchnorm_by_hand(r):
    class BN(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("m", torch.zeros(3))
            self.register_buffer("v", torch.ones(3))
            self.history = []

        def forward(self, x):
            if self.training and x.shape[0] > 1:
                v, m = torch.var_mean(x, 0, unbiased=False)
                self.m.mul_(0.9).add_(m.detach(), alpha=0.1)
                self.v = 0.9 * self.v + 0.1 * v.detach()
                self.history.append(float(self.v.max()))
            else:
                m, v = self.m, self.v
            return (x - m) / (v + 1e-5).sqrt()

    net = BN()
    g = r.compile(net)
    g(grid())
    g(grid(2.0))
    net.eval()
    g(grid())
    net.train()
    g(grid()[:1])
    net.m = torch.ones(3)
    g(grid())
    r.see(net, net.history)


@odd
def scheduled_sampling(r):
    class State(types.SimpleNamespace):
        pass

    s = State(step=0, rng=random.Random(1), np=np.random.default_rng(2))

    def f(x):
        s.step += 1
        p = 1 / s.step
        y = x
        if s.rng.random() < p:
            y = y + torch.rand_like(x)
        if s.np.random() < p:
            y = y * 2
        y = y[s.np.permutation(2)]
        return y, s.rng.randint(0, 9), s.np.integers(10)

    g = r.compile(f)
    for _ in range(5):
        g(grid())
    s.rng = random.Random(9)
    s.step = 0
    g(grid())


@odd
def straight_through(r):
    class Round(torch.autograd.Function):
        scale = 1.0

        @staticmethod
        def forward(x, levels):
            return (x * levels).round() / levels

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.levels = inputs
            ctx.mark_non_differentiable()
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * Round.scale * ((x - y).abs() < 0.2), None

    def f(x, levels):
        return Round.apply(x / 7, levels)

    g = r.compile(f)
    x = grid().requires_grad_()
    g(x, 4)
    g(x, 2.5)
    Round.scale = 10.0
    g(x, 4)
    g(x.detach(), 4)


@odd
def dtype_follows_the_flag(r):
    class Cfg:
        dtype = torch.float32
        device = "cpu"
        eps: typing.Any = 1e-6

    def f(x):
        y = x.to(Cfg.dtype, copy=True)
        y /= y.amax(-1, keepdim=True) + Cfg.eps
        z = torch.zeros(2, 3, dtype=Cfg.dtype, device=Cfg.device)
        z[0] = y[1]
        return y, z, torch.finfo(Cfg.dtype).bits, y.element_size()

    g = r.compile(f)
    g(grid())
    Cfg.dtype = torch.float64
    g(grid())
    Cfg.eps = torch.tensor(0.5)
    g(grid())
    Cfg.dtype = torch.bfloat16
    g(grid())
    Cfg.device = "meta"
    Cfg.dtype = torch.float32
    f2 = r.compile(lambda x: torch.zeros(2, device=Cfg.device).device.type + str(x.device))
    f2(grid())
    Cfg.device = "cpu"
    f2(grid())


@odd
def shapes_from_strings(r):
    def f(x, spec):
        dims = dict(zip(spec.split("->")[0].split(), x.shape, strict=True))
        out = [dims.get(n, 1) if n.isalpha() else int(n) for n in spec.split("->")[1].split()]
        try:
            y = x.reshape(out)
        except RuntimeError:
            y = x.expand(*out) if len(out) >= x.dim() else None
        return y, out, dims

    g = r.compile(f)
    for spec in ("a b->b a", "a b->1 a b", "a b->4 a b", "a b->b", "a b c->a", "a b->a q b"):
        g(grid(), spec)


@odd
def pickle_of_state_between(r):
    class Acc:
        def __init__(self):
            self.t, self.n = torch.zeros(3), 0

        def __getstate__(self):
            return {"t": self.t * 2, "n": self.n}

        def __setstate__(self, s):
            self.__dict__.update(s, n=s["n"] + 100)

    acc = Acc()

    def f(x):
        acc.t = acc.t + x.sum(0)
        acc.n += 1
        other = copy.copy(acc)
        other.t += 1
        return other.t, other.n, acc.t, copy.deepcopy(acc).n

    g = r.compile(f)
    g(grid())
    g(grid(2.0))
    r.see(acc.t, acc.n)
    acc.__dict__.update(pickle.loads(pickle.dumps(acc.__dict__)))
    g(grid())
    r.see(acc.t, acc.n)


@odd
def signature_driven_call(r):
    def loss_a(pred, target, weight=2.0):
        return ((pred - target) ** 2 * weight).mean()

    def loss_b(pred, **rest):
        return pred.sum() * len(rest)

    losses = [loss_a, loss_b, F.l1_loss]

    def f(x, i, **extra):
        fn = losses[i]
        pool = {"pred": x, "input": x, "target": x.flip(0), **extra}
        params = inspect.signature(fn).parameters
        if any(p.kind is p.VAR_KEYWORD for p in params.values()):
            return fn(**pool)
        return fn(**{k: v for k, v in pool.items() if k in params})

    g = r.compile(f)
    g(grid(), 0)
    g(grid(), 0, weight=0.5)
    g(grid(), 1, z=1)
    g(grid(), 2, reduction="sum")
    losses[0] = lambda pred, z=3: pred * z
    g(grid(), 0, z=4)
    losses.pop()
    g(grid(), 2)


@odd
def integer_state_overflows(r):
    state = {"i8": torch.tensor(120, dtype=torch.int8), "py": 2**62, "f": 1e308}

    def f(x):
        state["i8"] = state["i8"] + 5
        state["py"] *= 2
        state["f"] *= 10
        i = (x.to(torch.uint8) * 100) >> 1
        return i, state["i8"], state["py"] % 1000003, state["f"], (x * 1e30 * 1e30).isinf().all(), x.long() ** 40

    g = r.compile(f)
    for _ in range(3):
        g(grid())
    r.see(state)


@odd
def weak_cache_of_results(r):
    class Out:
        def __init__(self, t):
            self.t = t

    cache = weakref.WeakValueDictionary()
    strong = []

    def f(x, key):
        hit = cache.get(key)
        if hit is None:
            hit = cache[key] = Out(x * len(key))
            if key.startswith("k"):
                strong.append(hit)
            LOG.info("miss %s", key)
        return hit.t + 1, len(cache)

    g = r.compile(f)
    for key in ("k", "keep", "k", "drop", "drop"):
        g(grid(), key)
    strong.clear()
    g(grid(), "k")
    r.see(sorted(cache))


@odd
def warn_print_raise_in_order(r):
    def f(x, level):
        print("start", level)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for i in range(level):
                warnings.warn(f"w{i}", RuntimeWarning, stacklevel=1)
        LOG.error("%d caught", len(caught))
        if level > 1:
            warnings.warn(str(caught[0].message), stacklevel=1)
        try:
            assert level < 3, f"level {level}"
            return x / (2 - level)
        except AssertionError as e:
            print("assert", e)
            raise OSError(level, "level") from e
        finally:
            print("end")

    g = r.compile(f)
    for level in (0, 1, 2, 3, 0):
        g(grid(), level)
