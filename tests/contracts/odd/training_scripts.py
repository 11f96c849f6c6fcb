"""What surrounds a model in a training script: schedules, averages, hooks, frozen and copied layers."""

from __future__ import annotations

import contextlib
import contextvars
import copy
import dataclasses
import enum
import math
import weakref

import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.odd.recorder import grid, odd


def mlp():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


class _Accumulator:
    def __init__(self, every):
        self.every, self.seen, self.syncing = every, 0, True

    @contextlib.contextmanager
    def window(self):
        self.seen += 1
        before, self.syncing = self.syncing, self.seen % self.every == 0
        try:
            yield self.syncing
        finally:
            self.syncing = before


class _Phase(enum.Flag):
    NONE = 0
    AUGMENT = enum.auto()
    MIX = enum.auto()
    CLIP = enum.auto()
    ALL = AUGMENT | MIX | CLIP


@dataclasses.dataclass(frozen=True)
class _Recipe:
    phase: _Phase = _Phase.NONE
    scale: float = 1.0
    names: tuple[str, ...] = ()
    extra: dict = dataclasses.field(default_factory=dict, compare=False)


_STEP = contextvars.ContextVar("step", default=0)


_SCALE = contextvars.ContextVar("scale")


@odd
def warmup_then_cosine(r):
    net = nn.Linear(3, 2)
    opt = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: (s + 1) / 3 if s < 3 else 0.5 * (1 + math.cos(s / 5)))
    f = r.compile(lambda x: (net(x) * opt.param_groups[0]["lr"], sched.last_epoch))
    for k in range(5):
        f(grid(0.1 * (k + 1)))
        net.zero_grad()
        net(grid(0.1)).square().mean().backward()
        opt.step()
        sched.step()
    r.see(net.weight, opt.param_groups[0]["lr"])


@odd
def ema_updated_in_forward(r):
    class Averaged(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()
            self.shadow = copy.deepcopy(self.net).requires_grad_(False)
            self.steps = 0

        def forward(self, x, decay=0.9):
            if self.training:
                self.steps += 1
                d = min(decay, (1 + self.steps) / (10 + self.steps))
                with torch.no_grad():
                    for s, p in zip(self.shadow.parameters(), self.net.parameters(), strict=True):
                        s.lerp_(p, 1 - d)
                return self.net(x)
            return self.shadow(x)

    m = Averaged()
    f = r.compile(m)
    for k in range(3):
        f(grid(0.1 * k))
        with torch.no_grad():
            m.net[0].weight.add_(0.1)
    m.eval()
    f(grid())
    m.train()
    f(grid(), decay=0.5)
    r.see(m.shadow[0].weight, m.steps)


@odd
def accumulation_window(r):
    acc = _Accumulator(3)
    held = []

    def f(x):
        with acc.window() as last:
            held.append(x.sum() / acc.every)
            if not last:
                return torch.zeros(())
            total = torch.stack(held).sum()
            held.clear()
        return total * (1 if acc.syncing else -1)

    f = r.compile(f)
    for k in range(7):
        f(grid(k + 1.0))
        r.see(acc.seen, acc.syncing, len(held))


@odd
def layers_frozen_midway(r):
    net = mlp()
    f = r.compile(net)
    for k in range(4):
        if k == 1:
            net[0].requires_grad_(False)
        if k == 2:
            net[2].weight.requires_grad_(False)
        if k == 3:
            net.requires_grad_(True)
        f(grid(0.2))
        loss = net(grid(0.3)).sum()
        r.see(loss.requires_grad, [p.requires_grad for p in net.parameters()], net[0].weight)


@odd
def optimizer_swapped_in_a_trainer(r):
    class Trainer:
        def __init__(self, net):
            self.net, self.losses = net, []
            self.opt = torch.optim.Adam(net.parameters(), lr=0.1)

        def step(self, x):
            self.opt.zero_grad(set_to_none=False)
            loss = self.net(x).pow(2).mean()
            loss.backward()
            self.opt.step()
            self.losses.append(loss.item())
            if len(self.losses) == 2:
                self.opt = torch.optim.RMSprop(self.net.parameters(), lr=0.01)
            return loss.detach()

    t = Trainer(nn.Linear(3, 2))
    f = r.compile(t.step)
    for _ in range(4):
        f(grid(0.1))
        r.see(t.net.weight, t.losses, type(t.opt).__name__)


@odd
def early_stopping_restores_the_best(r):
    @dataclasses.dataclass
    class Best:
        loss: float = math.inf
        state: dict | None = None
        bad: int = 0

        def update(self, loss, net):
            if loss < self.loss:
                self.loss, self.state, self.bad = loss, copy.deepcopy(net.state_dict()), 0
            else:
                self.bad += 1
            return self.bad >= 2

    net, best = nn.Linear(3, 1), Best()
    f = r.compile(lambda x, y: F.mse_loss(net(x).squeeze(-1), y))
    for k in range(6):
        loss = float(F.mse_loss(net(grid(0.1)).squeeze(-1), torch.ones(2)))
        f(grid(0.1), torch.ones(2))
        if best.update(loss, net):
            net.load_state_dict(best.state)
            f(grid(0.1), torch.ones(2))
            break
        with torch.no_grad():
            net.weight += 0.2 * (k - 1)
    r.see(best.loss, best.bad, net.weight)


@odd
def frozen_recipe_with_flags(r):
    def f(x, c):
        seen = []
        if _Phase.AUGMENT in c.phase:
            x = x.flip(1)
            seen.append(c.phase.name)
        if c.phase & _Phase.MIX:
            x = x + x.roll(1, 0)
        if c.phase == _Phase.ALL:
            x = x.clamp(max=6 * c.scale)
        for n in c.names:
            x = x * c.extra.get(n, 1)
        return x, seen, ~c.phase, bool(c.phase)

    f = r.compile(f)
    c = _Recipe()
    f(grid(), c)
    c = dataclasses.replace(c, phase=_Phase.AUGMENT | _Phase.MIX, names=("a", "b"))
    f(grid(), c)
    c.extra["b"] = 3
    f(grid(), c)
    f(grid(), dataclasses.replace(c, phase=_Phase.ALL, scale=0.5))
    f(grid(), _Recipe(_Phase(5)))


@odd
def callbacks_held_weakly(r):
    class Hook:
        def __init__(self, k):
            self.k, self.calls = k, 0

        def __call__(self, x):
            self.calls += 1
            return x * self.k

    registry = weakref.WeakValueDictionary()
    a, b = Hook(2.0), Hook(3.0)
    registry["a"], registry["b"] = a, b
    method = weakref.WeakMethod(a.__call__)

    def f(x):
        for name in sorted(registry):
            x = registry[name](x)
        m = method()
        return x, m is None, len(registry)

    f = r.compile(f)
    f(grid())
    b.k = 5.0
    f(grid())
    r.see(a.calls, b.calls)
    del b
    f(grid())
    del a
    f(grid())


@odd
def contextvars_with_tokens(r):
    def f(x):
        token = _STEP.set(_STEP.get() + 1)
        try:
            scale = _SCALE.get(None)
            return x * _STEP.get() if scale is None else x * scale
        finally:
            if _STEP.get() % 2:
                _STEP.reset(token)

    f = r.compile(f)
    f(grid())
    r.see(_STEP.get())
    outer = _STEP.set(1)
    f(grid())
    r.see(_STEP.get())
    t = _SCALE.set(torch.tensor(4.0))
    f(grid())
    _SCALE.reset(t)
    contextvars.copy_context().run(f, grid())
    r.see(_STEP.get())
    _STEP.reset(outer)


@odd
def gradients_scaled_by_hooks(r):
    net = mlp()
    log = []
    h = net[0].weight.register_hook(lambda g: (log.append("w"), g * 0.5)[1])
    net[2].bias.register_post_accumulate_grad_hook(lambda p: log.append(("b", float(p.grad.sum()))))

    def f(x):
        net.zero_grad()
        net(x).sum().backward()
        return [p.grad.clone() for p in net.parameters()]

    f = r.compile(f)
    f(grid(0.1))
    r.see(log)
    h.remove()
    f(grid(0.1))
    r.see(log)
    net[0].weight.register_hook(lambda g: torch.zeros_like(g))
    f(grid(0.1))


@odd
def teacher_copied_mid_training(r):
    student = mlp()
    teachers = []

    def f(x):
        y = student(x)
        if teachers:
            with torch.no_grad():
                t = sum(t(x).softmax(-1) for t in teachers) / len(teachers)
            return F.kl_div(y.log_softmax(-1), t, reduction="batchmean")
        return y.mean()

    f = r.compile(f)
    f(grid(0.1))
    teachers.append(copy.deepcopy(student).eval())
    f(grid(0.1))
    with torch.no_grad():
        student[0].weight.mul_(1.5)
    f(grid(0.1))
    teachers.append(copy.deepcopy(student))
    f(grid(0.1))
    teachers[0] = student
    f(grid(0.1))


@odd
def layers_built_by_getattr(r):
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.made = []

        def __getattr__(self, name):
            if name.startswith("scale_"):
                self.made.append(name)
                k = float(name.rsplit("_", 1)[1])
                self._buffers[name] = torch.tensor(k)
                return self._buffers[name]
            return super().__getattr__(name)

        def forward(self, x, k):
            return x * getattr(self, f"scale_{k}") + self.scale_1

    m = Lazy()
    f = r.compile(m)
    for k in (2, 3, 2, 3):
        f(grid(), k)
        r.see(m.made, sorted(m.state_dict()))
    m.scale_2.fill_(10)
    f(grid(), 2)
    del m.scale_2
    f(grid(), 2)
    r.see(m.made)


@odd
def property_that_clamps(r):
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self._p, self.log = 0.5, []
            self.register_buffer("gain", torch.ones(3))

        @property
        def p(self):
            self.log.append("get")
            return self._p

        @p.setter
        def p(self, value):
            self.log.append(f"set {value:.2f}")
            self._p = min(max(value, 0.0), 1.0)
            self.gain.fill_(self._p)

        def forward(self, x):
            y = x * self.gain * self.p
            self.p = self.p + 0.2
            return y

    m = Noisy()
    f = r.compile(m)
    for _ in range(4):
        f(grid())
        r.see(m.log, m.gain)
    m.p = -3
    f(grid())
    r.see(m._p, m.log)
