"""Flow of a training script, modules that change, data that decides."""

from __future__ import annotations

import functools
import itertools
import operator
import types

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from tests.contracts.odd.recorder import grid, odd


def leaf(sign=1.0):
    return grid(sign).requires_grad_()


@odd
def returns_overridden_by_finally(r):
    log = []

    def f(x, how):
        for attempt in range(3):
            try:
                log.append(("try", attempt))
                if how == "return":
                    return x * attempt
                if how == "break":
                    break
                if how == "raise" and attempt < 2:
                    raise KeyError(how)
            except KeyError:
                x = x + 1
                continue
            else:
                x = x * 2
            finally:
                log.append(("finally", float(x.sum())))
                if how == "swallow" and attempt == 1:
                    return -x  # noqa: B012 - the point of it
        else:
            return x, "ran out"
        return x, "broke"

    f = r.compile(f)
    for how in ("return", "break", "raise", "swallow", "plain"):
        f(grid(), how)
        r.see(log)


@odd
def augmentations_by_send(r):
    def pipeline(scale):
        n, x = 0, None
        while True:
            x = yield x if x is None else x * scale + n
            n += 1

    steps = [pipeline(2.0), pipeline(0.5)]
    for s in steps:
        next(s)

    def f(x):
        for s in steps:
            x = s.send(x)
        return x

    f = r.compile(f)
    f(grid())
    f(grid())
    r.see(steps[0].send(torch.ones(1)))
    f(grid())
    steps.pop().close()
    f(grid())


@odd
def cached_properties_of_a_module(r):
    class Basis(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.built = nn.Parameter(torch.eye(3) * 2), 0

        @functools.cached_property
        def inverse(self):
            self.built += 1
            return self.w.detach().inverse()

        @functools.singledispatchmethod
        def shift(self, v):
            return v

        @shift.register
        def _(self, v: str):
            return float(len(v))

        def forward(self, x, v):
            return x @ self.inverse + self.shift(v)

    m = Basis()
    f = r.compile(m)
    f(grid(), 1.0)
    f(grid(), "four")
    with torch.no_grad():
        m.w.mul_(2)
    f(grid(), 1.0)
    r.see(m.built)
    del m.inverse
    f(grid(), "ab")
    r.see(m.built)


@odd
def parametrized_midway(r):
    class Symmetric(nn.Module):
        def forward(self, w):
            return w.triu() + w.triu(1).mT

    lin = nn.Linear(3, 3)
    f = r.compile(lin)
    f(grid())
    parametrize.register_parametrization(lin, "weight", Symmetric())
    f(grid())
    r.see(sorted(lin.state_dict()), type(lin).__name__)
    with torch.no_grad():
        lin.parametrizations.weight.original.mul_(2)
    f(grid())
    with parametrize.cached():
        f(grid())
    parametrize.remove_parametrizations(lin, "weight")
    f(grid())
    r.see(sorted(lin.state_dict()))


@odd
def hook_that_runs_once(r):
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    seen = []

    def once(module, args):
        seen.append([type(module).__name__, float(args[0].sum())])
        handle.remove()
        return (args[0] * 10,)

    def after(module, args, kwargs, out):
        seen.append(sorted(kwargs))
        return out + 1 if len(seen) % 2 else None

    handle = net[0].register_forward_pre_hook(once)
    net.register_forward_hook(after, with_kwargs=True)
    f = r.compile(net)
    for _ in range(3):
        f(grid(0.1))
        r.see(seen)
    handle = net[1].register_forward_pre_hook(once)
    f(grid(0.1))
    r.see(seen)


@odd
def experts_chosen_by_data(r):
    class Moe(nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))
            self.load = [0, 0, 0]

        def forward(self, x):
            choice = x.sum(-1).long() % 3
            out = torch.zeros_like(x)
            for e in choice.unique().tolist():
                rows = (choice == e).nonzero().squeeze(-1)
                self.load[e] += rows.numel()
                out.index_add_(0, rows, self.experts[e](x[rows]))
            return out, choice

    m = Moe()
    f = r.compile(m)
    f(grid())
    f(torch.arange(12.0).reshape(4, 3))
    f(torch.ones(5, 3))
    r.see(m.load)
    m.experts[0] = nn.Identity()
    f(torch.arange(12.0).reshape(4, 3))
    r.see(m.load, [e.weight for e in list(m.experts)[1:]])


@odd
def queue_of_negatives(r):
    class Moco(nn.Module):
        def __init__(self):
            super().__init__()
            self.q = nn.Linear(3, 2)
            self.register_buffer("queue", torch.zeros(5, 2))
            self.register_buffer("ptr", torch.zeros(1, dtype=torch.long))
            self.full = False

        def forward(self, x):
            z = F.normalize(self.q(x), dim=-1)
            p = int(self.ptr)
            n = min(len(x), len(self.queue) - p)
            logits = z @ self.queue.clone().detach().T
            self.queue[p : p + n] = z[:n].detach()
            self.full = self.full or p + n == len(self.queue)
            self.ptr[0] = (p + n) % len(self.queue)
            return logits.logsumexp(-1).mean() if self.full else logits.sum()

    m = Moco()
    f = r.compile(m)
    for k in range(5):
        f(grid(k + 1.0))
        r.see(m.queue, m.ptr, m.full)


@odd
def penalty_on_the_gradient(r):
    critic = nn.Sequential(nn.Linear(3, 4), nn.Softplus(), nn.Linear(4, 1))

    def f(real, fake, weight):
        mix = torch.lerp(real, fake, torch.rand(2, 1)).requires_grad_()
        (g,) = torch.autograd.grad(critic(mix).sum(), mix, create_graph=True)
        penalty = ((g.norm(dim=1) - 1) ** 2).mean()
        return critic(real).mean() - critic(fake).mean() + weight * penalty

    f = r.compile(f)
    f(grid(0.1), grid(-0.1), 10.0)
    f(grid(0.2), grid(-0.1), 1)
    f(leaf(), grid(-0.1), 0.5)


@odd
def clipping_per_group(r):
    net = nn.ModuleDict({"body": nn.Linear(3, 3), "head": nn.Linear(3, 1)})
    opt = torch.optim.AdamW(
        [
            {"params": net["body"].parameters(), "clip": 0.1},
            {"params": net["head"].parameters(), "lr": 0.02, "clip": None},
        ],
        lr=0.005,
        eps=1e-3,  # Adam makes much of a rounding error
    )

    def f(x):
        loss = net["head"](net["body"](x).relu()).square().mean()
        loss.backward()
        norms = {}
        for i, group in enumerate(opt.param_groups):
            if group["clip"] is not None:
                norms[i] = nn.utils.clip_grad_norm_(group["params"], group["clip"])
        opt.step()
        opt.zero_grad()
        return loss.item(), norms

    f = r.compile(f)
    for _ in range(3):
        f(grid(0.3))
        r.see(net["body"].weight, net["head"].weight)
    opt.param_groups[1]["clip"] = 0.01
    opt.param_groups[0]["lr"] = 0.0
    f(grid(0.3))
    r.see(net["body"].weight, net["head"].weight, opt.state[net["head"].bias]["step"])


@odd
def metric_with_operators(r):
    class Mean:
        def __init__(self, total=0.0, n=0):
            self.total, self.n = total, n

        def __iadd__(self, other):
            self.total, self.n = self.total + other, self.n + 1
            return self

        def __add__(self, other):
            return Mean(self.total + other.total, self.n + other.n)

        def __bool__(self):
            return self.n > 0

        def __len__(self):
            return self.n

        def __float__(self):
            return float(self.total) / max(self.n, 1)

        def __format__(self, spec):
            return format(float(self), spec or ".1f")

        __lt__ = lambda self, other: float(self) < float(other)  # noqa: E731

    box = {"train": Mean(), "val": Mean()}

    def f(x, split):
        empty = not box[split]
        box[split] += x.mean()
        both = box["train"] + box["val"]
        return x * float(both), empty, len(both), f"{both} {box[split]:.3f}", min(box, key=lambda k: box[k])

    f = r.compile(f)
    for k, split in enumerate(("train", "val", "train", "val")):
        f(grid(k + 1.0), split)
        r.see(float(box["train"]), len(box["val"]))


@odd
def inner_loop_of_maml(r):
    net = nn.Linear(3, 1)

    def f(x, y, steps, lr):
        fast = {n: p for n, p in net.named_parameters()}
        for _ in range(steps):
            loss = F.mse_loss(torch.func.functional_call(net, fast, (x,)), y)
            grads = torch.autograd.grad(loss, list(fast.values()), create_graph=True)
            fast = {n: p - lr * g for (n, p), g in zip(fast.items(), grads, strict=True)}
        return F.mse_loss(torch.func.functional_call(net, fast, (x,)), y)

    f = r.compile(f)
    y = torch.ones(2, 1)
    f(grid(0.1), y, 1, 0.1)
    f(grid(0.1), y, 3, 0.05)
    f(grid(0.1), y, 0, 0.1)
    lr = torch.tensor(0.1, requires_grad=True)
    f(grid(0.1), y, 2, lr)


@odd
def sequences_from_itertools(r):
    def f(x, names):
        runs = {k: len(list(g)) for k, g in itertools.groupby(names)}
        sums = list(itertools.accumulate(x, operator.mul, initial=torch.ones(3)))
        pairs = [a + b for a, b in itertools.pairwise(x)]
        filled = list(itertools.zip_longest(x, names, fillvalue=0.5))
        picked = list(itertools.compress(x, [n != "a" for n in names]))
        first = next(itertools.dropwhile(lambda row: row[0] < 3, x), None)
        both = functools.reduce(torch.maximum, x)
        return runs, sums[-1], pairs, len(filled), picked, first, both, filled[-1][0]

    f = r.compile(f)
    f(grid(), "aab")
    f(grid(0.1), ["b", "b"])
    f(grid(2.0), ("a",))


@odd
def layers_inserted_and_removed(r):
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    f = r.compile(net)
    f(grid(0.1))
    net.insert(1, nn.ReLU())
    f(grid(0.1))
    net.append(nn.LayerNorm(3))
    f(grid(0.1))
    del net[1]
    f(grid(0.1))
    net[0] = net[1]
    f(grid(0.1))
    tail = net[1:]
    r.see(tail(grid(0.1)), len(net))
    net.pop(-1)
    net.add_module("last", nn.Flatten(0))
    f(grid(0.1))
    net.forward = types.MethodType(lambda self, x: x * len(self), net)
    f(grid(0.1))
    del net.forward
    f(grid(0.1))
