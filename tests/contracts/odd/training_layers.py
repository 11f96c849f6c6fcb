"""Layers, buffers and modes of a training script, and what differentiates inside."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.contracts.odd.recorder import grid, odd


def leaf(sign=1.0):
    return grid(sign).requires_grad_()


class _Tagged(torch.Tensor):
    @staticmethod
    def __new__(cls, data, tag="raw"):
        t = torch.Tensor._make_subclass(cls, data)
        t.tag = tag
        return t

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        out = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(out, _Tagged):
            out.tag = f"{func.__name__}({next((a.tag for a in args if isinstance(a, _Tagged)), '?')})"
        return out


_LIB = torch.library.Library("odd_training", "DEF")


_LIB.define("push(Tensor(a!) bank, Tensor x, int at) -> Tensor")


def _push(bank, x, at):
    bank[at % bank.shape[0]].copy_(x)
    return bank.sum(0)


_LIB.impl("push", _push, "CompositeExplicitAutograd")


torch.library.register_fake("odd_training::push", lambda bank, x, at: torch.empty_like(x), lib=_LIB)


@dataclasses.dataclass
class _Batch:
    x: torch.Tensor
    y: torch.Tensor | None = None
    __match_args__ = ("x", "y")


@odd
def tags_follow_the_operations(r):
    def f(x):
        y = x * 2
        z = torch.relu(y - 3)
        return z, z.tag, getattr(z.sum(), "tag", None)

    f = r.compile(f)
    f(_Tagged(grid()))
    f(_Tagged(grid(-1.0), "neg"))
    r.see(f is None)


@odd
def hooks_of_state_dicts(r):
    class Versioned(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(3, 2)
            self.version, self.loads = 2, []
            self.register_state_dict_post_hook(lambda m, d, prefix, meta: d.update({prefix + "stamp": m.version}))
            self.register_load_state_dict_pre_hook(
                lambda m, d, prefix, *a: m.loads.append(d.pop(prefix + "stamp", None))
            )

        def get_extra_state(self):
            return {"loads": len(self.loads)}

        def set_extra_state(self, state):
            self.loads.append(state["loads"])

        def forward(self, x):
            return self.lin(x) * self.version + len(self.loads)

    m = Versioned()
    f = r.compile(m)
    f(grid())
    state = copy.deepcopy(m.state_dict())
    r.see(list(state), state["stamp"])
    with torch.no_grad():
        m.lin.weight.zero_()
    m.version = 3
    f(grid())
    m.load_state_dict(state)
    f(grid())
    r.see(m.loads, m.lin.weight)


@odd
def buffers_of_other_kinds(r):
    class Stats(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(3))

        def forward(self, x):
            self.mean += x.mean(0).to(self.mean.dtype)
            return (x - self.mean).sum(), self.mean.dtype

    m = Stats()
    f = r.compile(m)
    f(grid())
    m.register_buffer("mean", torch.ones(3, dtype=torch.float64), persistent=False)
    f(grid())
    r.see(list(m.state_dict()), m.mean)
    m.mean = torch.zeros(1)
    f(torch.ones(2, 1))
    m._buffers["mean"] = torch.zeros(3, dtype=torch.int32)
    f(grid())
    r.see(m.mean)


@odd
def monte_carlo_dropout(r):
    class MC(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.drop = nn.Linear(3, 3), nn.Dropout(0.5)
            self.bn = nn.BatchNorm1d(3)

        def forward(self, x, samples=0):
            if not samples:
                return self.drop(self.bn(self.a(x)))
            was = self.training
            self.eval()
            self.drop.train()
            try:
                return torch.stack([self.drop(self.bn(self.a(x))) for _ in range(samples)]).std(0)
            finally:
                self.train(was)

    m = MC()
    f = r.compile(m)
    f(grid())
    f(grid(), 2)
    r.see(m.training, m.drop.training, m.bn.num_batches_tracked)
    m.eval()
    f(grid(), 2)
    f(grid())
    r.see(m.drop.training, m.bn.running_mean)


@odd
def autocast_for_a_part(r):
    net = nn.Linear(3, 3)

    def f(x, on):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=on):
            y = net(x)
            with torch.autocast("cpu", enabled=False):
                z = net(y.float())
            s = y.softmax(-1)
        return y.dtype, z.dtype, s.dtype, z, y.float().sum(), torch.is_autocast_enabled("cpu")

    f = r.compile(f)
    f(grid(), True)
    f(grid(), False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        f(grid(), False)
    f(leaf(), True)


@odd
def inference_mode_for_targets(r):
    net = nn.Linear(3, 3)

    def f(x):
        with torch.inference_mode():
            target = net(x) * 2
        kept = target.is_inference()
        with torch.no_grad():
            mask = target > 0
        return (net(x) - target.clone()).square().mean(), kept, mask, torch.is_grad_enabled()

    f = r.compile(f)
    f(grid())
    f(leaf())
    with torch.no_grad():
        f(grid())


@odd
def ensemble_by_functional_call(r):
    nets = [nn.Linear(3, 2) for _ in range(3)]
    params, buffers = torch.func.stack_module_state(nets)
    base = copy.deepcopy(nets[0]).to("meta")

    def f(x):
        def one(p, b):
            return torch.func.functional_call(base, (p, b), (x,))

        outs = torch.vmap(one)(params, buffers)
        g = torch.func.grad(lambda p: torch.func.functional_call(nets[0], p, (x,)).square().sum())(
            dict(nets[0].named_parameters())
        )
        return outs, g["weight"], sorted(g)

    f = r.compile(f)
    f(grid())
    with torch.no_grad():
        params["weight"].mul_(2)
        nets[0].bias.add_(1)
    f(grid())


@odd
def function_that_marks_dirty(r):
    log = []

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.mark_dirty(x)
            ctx.k = k
            ctx.set_materialize_grads(False)
            log.append("forward")
            return x.mul_(k)

        @staticmethod
        def backward(ctx, g):
            log.append(("backward", g is None))
            return (None if g is None else g * ctx.k), None

    def f(x, k):
        y = x * 1
        z = Scale.apply(y, k)
        return z, y, z is y

    f = r.compile(f)
    f(leaf(), 2.0)
    f(grid(), 3.0)
    f(leaf(), 2.0)
    r.see(log)


@odd
def checkpointed_with_dropout(r):
    counts = []
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Dropout(0.5))

    def block(x, k):
        counts.append(k)
        return net(x) * k

    def f(x):
        y = checkpoint(block, x, 2.0, use_reentrant=False)
        return checkpoint(block, y, 3.0, use_reentrant=False).sum()

    f = r.compile(f)
    f(leaf())
    r.see(counts)
    f(grid())
    net.eval()
    f(leaf())
    r.see(counts)


@odd
def operator_that_writes_to_a_bank(r):
    bank = torch.zeros(4, 3)
    at = itertools.count()

    def f(x):
        a = torch.ops.odd_training.push(bank, x[0], next(at))
        b = torch.ops.odd_training.push(bank[1:], x[1], next(at))
        return a + b, bank.mean()

    f = r.compile(f)
    for k in range(3):
        f(grid(k + 1.0))
        r.see(bank)
    r.see(next(at))


@odd
def complex_parts_written(r):
    def f(x):
        z = torch.view_as_complex(torch.stack([x, -x], -1).contiguous())
        z.real.mul_(2)
        z.imag[0] = 1
        w = torch.polar(x.abs(), x)
        return z, (z * w.conj()).abs().sum(), z.mT.is_conj(), w.conj().resolve_conj(), torch.view_as_real(w).sum(-1)

    f = r.compile(f)
    f(grid())
    f(grid(-1.0))
    f(leaf())


@odd
def empty_batches(r):
    def f(x):
        y = torch.cat([x, x.new_ones(1, x.shape[1])])
        m = x.mean() if len(x) else x.sum()
        try:
            top = x.max(dim=0).values
        except (IndexError, RuntimeError) as e:
            top = type(e).__name__
        return y, m, top, x.numel() == 0, list(x), F.softmax(x, 0), x.any(), x.all()

    f = r.compile(f)
    f(grid())
    f(torch.empty(0, 3))
    f(torch.empty(2, 0))
    f(torch.ones(1, 1))
    f(torch.empty(0, 3).requires_grad_())


@odd
def batches_matched(r):
    def f(batch):
        match batch:
            case _Batch(x, None):
                return x.sum()
            case _Batch(x=torch.Tensor(shape=(2, n)) as x, y=y) if n > 2:
                return (x * y).sum() * n
            case {"x": x, **rest} if rest:
                return x * len(rest), sorted(rest)
            case {"x": x}:
                return x + 1
            case [first, *others, int(k) | float(k)]:
                return first * k + len(others)
            case (torch.Tensor() as only,) | (torch.Tensor(ndim=2) as only):
                return only * 3
            case str() | None:
                raise TypeError(f"no batch: {batch!r}")
            case _:
                return type(batch).__name__

    f = r.compile(f)
    for b in (
        _Batch(grid()),
        _Batch(grid(), grid()),
        _Batch(torch.ones(2, 2), torch.ones(2, 2)),
        {"x": grid()},
        {"x": grid(), "z": 1, "w": 2},
        [grid(), 2, 3, 4.5],
        grid(),
        None,
        "text",
        7,
    ):
        f(b)


@odd
def walrus_and_short_circuits(r):
    log = []

    def said(v):
        log.append(float(v))
        return v

    def f(x):
        if any((hit := said(row.sum())) > 5 for row in x) and not (low := x.min()) > 3:
            x = x * hit + low
        a = said(x[0, 0]) > 0 and said(x[0, 1]) or said(x[0, 2])
        b = all(said(v) != 0 for v in x[1])
        return x, a, b, [y for v in x[0] if (y := v * 2) > 4], 1 < said(x[0, 0]) < said(x[0, 2]) < 10

    f = r.compile(f)
    for s in (1.0, -1.0, 0.0, 4.0):
        f(grid(s))
        r.see(log)
