"""Decided by a tensor: exceptions, objects, modules and transforms around branches."""

from __future__ import annotations

import math

import torch
from torch import nn

from tests.contracts.odd.decided import BOTH_WAYS, each_way
from tests.contracts.odd.recorder import grid, odd


@odd
def decides_raise(r):
    def f(x):
        if x.sum() > 30:
            raise ValueError("too large")
        return x * 2

    each_way(r, f)


@odd
def decides_assert(r):
    def f(x):
        assert x.sum() < 30, "too large"
        if x.sum() > 0:
            x = x * 2
        return x * 3

    each_way(r, f)


@odd
def decides_try(r):
    def f(x):
        try:
            if x.sum() > 0:
                y = x * 2
            else:
                y = x * 3
        finally:
            x = x + 1
        return x + y

    each_way(r, f)


@odd
def decides_attribute(r):
    class Box:
        pass

    box = Box()
    box.last = 0

    def f(x):
        if x.sum() > 0:
            box.last = 1
            y = x * 2
        else:
            y = x * 3
        return y

    each_way(r, f)
    r.see(box.last)


@odd
def decides_method(r):
    class Scaler:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, x):
            if self._large(x):
                return x / self.factor
            return x * self.factor

        def _large(self, x):
            return x.abs().max() > 4

    scaler = Scaler(2.0)
    compiled = each_way(r, lambda x: scaler(x) + 1)
    scaler.factor = 3.0
    for sign in BOTH_WAYS:
        compiled(sign * grid())


@odd
def decides_bool_method(r):
    class Flag:
        def __init__(self, value):
            self.value = value

        def __bool__(self):
            return bool(self.value.sum() > 0)

    def f(x):
        if Flag(x):
            return x * 2
        return x * 3

    each_way(r, f)


@odd
def decides_locals(r):
    def f(x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = x * 3
        r.see(sorted(locals()))
        return y

    each_way(r, f)


@odd
def decides_math(r):
    def f(x):
        if x.sum() > math.pi:
            return x * math.tau
        return x * math.e

    each_way(r, f)


@odd
def decides_sizes_too(r):
    def f(x):
        if x.shape[0] > 1 and x.sum() > 0:
            return x * x.shape[0]
        return x.sum() * x / x.shape[1]

    compiled = each_way(r, f)
    for rows in (1, 2, 3, 4, 7):
        compiled(torch.arange(rows * 3.0).reshape(rows, 3))
        compiled(-torch.arange(rows * 3.0).reshape(rows, 3))


@odd
def decides_integers(r):
    def f(n):
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        return n * 1

    compiled = r.compile(f)
    for n in (1, 6, 7, 12):
        compiled(torch.tensor(n))


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
        self.limit = 1.0

    def forward(self, x):
        h = self.a(x)
        if h.abs().max() > self.limit:
            h = torch.tanh(self.b(h))
        else:
            h = torch.relu(self.b(h)) + 1
        return h


@odd
def decides_in_a_module(r):
    gate = Gate()
    compiled = each_way(r, gate)
    gate.limit = 3.0
    for sign in BOTH_WAYS:
        compiled(sign * grid())


@odd
def decides_in_a_layer(r):
    model = nn.Sequential(nn.Linear(3, 3), Gate(), nn.Linear(3, 2))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.linspace(-1, 1, p.numel()).reshape(p.shape))
    compiled = each_way(r, model)
    model[1].limit = 0.1
    for sign in BOTH_WAYS:
        compiled(sign * grid())


@odd
def decides_forward_replaced(r):
    class Own(Gate):
        def forward(self, x):
            if x.sum() > 0:
                return self.a(x)
            return self.a(x) * 2

    own = Own()
    compiled = each_way(r, own)

    def forward(self, x):
        if x.sum() > 0:
            return self.a(x) * 10
        return self.a(x) * 20

    Own.forward = forward
    for sign in BOTH_WAYS:
        compiled(sign * grid())


@odd
def decides_super(r):
    class Own(Gate):
        def forward(self, x):
            y = super().forward(x)
            if y.sum() > 1:
                y = y * 2
            return y + 1

    each_way(r, Own())


@odd
def decides_super_in_branch(r):
    class Own(Gate):
        def forward(self, x):
            if x.sum() > 1:
                y = super().forward(x)
            else:
                y = super().forward(x * 2)
            return y + 1

    each_way(r, Own())


@odd
def decides_layer_in_one_branch(r):
    class Own(Gate):
        def forward(self, x):
            h = self.a(x)
            if h.sum() > 0:
                h = self.b(h)
            return h

    own = Own()
    compiled = r.compile(own)
    for sign in BOTH_WAYS:
        own.zero_grad()
        result = compiled(sign * grid())
        if result.requires_grad:
            result.sum().backward()
        r.see([p.grad for p in own.parameters()])


@odd
def decides_batch_norm_in_branch(r):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            if x.sum() > 0:
                y = self.norm(x)
            else:
                y = self.norm(x * 2)
            return y * 2

    own = Own()
    each_way(r, own)
    r.see(own)


@odd
def decides_beside_batch_norm(r):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            y = self.norm(x)
            if x.sum() > 0:
                y = y * 2
            return y + 1

    own = Own()
    compiled = each_way(r, own)
    own.eval()
    for sign in BOTH_WAYS:
        compiled(sign * grid())
    r.see(own)


@odd
def decides_buffer_in_branch(r):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            if x.sum() > 0:
                self.count += 1
            return x * self.count

    own = Own()
    each_way(r, own)
    r.see(own)


@odd
def decides_hooked(r):
    gate = Gate()
    seen = []
    compiled = each_way(r, gate)
    handle = gate.b.register_forward_hook(lambda *_: seen.append("ran"))
    compiled(grid())
    handle.remove()
    compiled(grid(-1))
    r.see(seen)


@odd
def decides_transformed(r):
    def loss(x):
        return (x**2).sum() if x.sum() > 0 else x.sum() * 3

    each_way(r, lambda x: torch.func.grad(loss)(x), slopes=False)


@odd
def decides_mapped(r):
    def row(x):
        return x * 2 if x.sum() > 0 else x * 3

    each_way(r, lambda x: torch.func.vmap(row)(x), slopes=False, times=(1.0,))


@odd
def decides_checkpointed(r):
    from torch.utils.checkpoint import checkpoint

    def part(x):
        if x.sum() > 0:
            return x.exp()
        return x.sin()

    each_way(r, lambda x: checkpoint(part, x, use_reentrant=False) * 2)


@odd
def decides_autocast(r):
    w = torch.linspace(-1, 1, 9).reshape(3, 3)

    def f(x):
        with torch.autocast("cpu", torch.bfloat16):
            if x.sum() > 0:
                y = x @ w
            else:
                y = (x * 2) @ w
        return y.float()

    each_way(r, f, slopes=False)


@odd
def decides_complex(r):
    def f(x):
        z = torch.complex(x, x)
        if x.sum() > 0:
            z = z * 2j
        return torch.view_as_real(z)

    each_way(r, f, slopes=False)


@odd
def decides_matrix(r):
    def f(x):
        m = x @ x.t()
        if m.trace() > 10:
            m = m / m.trace()
        else:
            m = m + torch.eye(2)
        return m @ x

    each_way(r, f)


@odd
def decides_recursion(r):
    def down(x, depth):
        if depth == 0:
            return x * 1
        if x.sum() > 0:
            return down(x - 1, depth - 1)
        return down(x + 2, depth - 1)

    each_way(r, lambda x: down(x, 3))


@odd
def decides_with_string_and_flag(r):
    def f(x, mode="fast", scale=None):
        scale = scale or 2.0
        if mode == "fast" and x.sum() > 0:
            return x * scale
        elif mode != "fast":
            return x * 100
        else:
            return x / scale

    compiled = each_way(r, f)
    compiled(grid(), mode="slow")
    compiled(grid(-1), scale=4.0)


@odd
def decides_match(r):
    def f(x, kind="a"):
        match kind:
            case "a":
                if x.sum() > 0:
                    y = x * 2
                else:
                    y = x * 3
            case _:
                y = x
        return y + 1

    compiled = each_way(r, f)
    compiled(grid(), kind="b")


@odd
def decides_unpacked(r):
    def f(x):
        a, b = x[0], x[1]
        if a.sum() > b.sum():
            a, b = b, a
        first, *rest = (a, b) if x.max() > 3 else (b, a)
        return first - rest[0]

    each_way(r, f)


@odd
def decides_swapped(r):
    def f(x):
        a, b = x * 2, x * 3
        if x.sum() > 0:
            a, b = b, a
        return a - b * 2

    each_way(r, f)


@odd
def decides_kept_result(r):
    class Keeper:
        kept = None

    keeper = Keeper()

    def f(x):
        h = x * 2
        y = h if x.sum() > 0 else h * 3
        keeper.kept = y
        return y + 1

    each_way(r, f)
    r.see(keeper.kept)


@odd
def decides_kept_argument(r):
    class Keeper:
        kept = None

    keeper = Keeper()

    def f(x):
        y = x if x.sum() > 0 else x * 3
        keeper.kept = y
        return y + 1

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        x = sign * grid()
        compiled(x)
        r.see(keeper.kept is x, keeper.kept)
