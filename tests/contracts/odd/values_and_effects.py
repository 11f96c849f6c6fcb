"""Kinds of values, and effects in their order."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings

import numpy as np
import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

LOG = logging.getLogger("odd")


def fill(module, value=0.2):
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(torch.linspace(-value, value + i * 0.1, p.numel()).reshape(p.shape))
    return module


@odd
def promotion_corner_cases(r):
    def f(x, s):
        return [
            v
            for v in (
                x + s,
                x * True,
                x / 2,
                x // 2,
                x**2,
                torch.where(x > 1, x, s),
                torch.add(x, s, alpha=2),
                x.sum(),
                x.mean() if x.is_floating_point() else None,
                torch.result_type(x, s),
                torch.cat([x, torch.ones(1, 3)]),
            )
        ]

    g = r.compile(f)
    for dtype in (torch.float32, torch.float64, torch.int32, torch.uint8, torch.float16):
        g(grid().to(dtype), 2)
        g(grid().to(dtype), 1.5)
        g(grid().to(dtype), torch.tensor(1, dtype=torch.int64))
    g(grid() > 2, 1)


@odd
def empty_and_zero_d(r):
    def f(x):
        out = [
            x.sum(),
            x.reshape(-1).cumsum(0),
            x.numel(),
            torch.cat([x.reshape(-1), torch.empty(0)]),
            x.unsqueeze(0).shape,
        ]
        try:
            out.append(x.max())
        except (RuntimeError, IndexError) as e:
            out.append(type(e).__name__)
        try:
            out.append(len(x))
        except TypeError as e:
            out.append(str(e))
        for _ in range(x.dim()):
            x = x.mean(0)
        return out, x, bool(x.isnan())

    g = r.compile(f)
    for x in (torch.empty(0, 3), torch.tensor(5.0), torch.empty(2, 0), grid(), torch.zeros(1, 1, 1), torch.empty(0)):
        g(x)


@odd
def complex_steps(r):
    def f(z, k):
        w = z * k + z.conj()
        s = torch.view_as_real(w).sum()
        p = torch.polar(w.abs(), w.angle())
        w.real.mul_(2)
        return w, s, p, w.imag, z.is_conj(), torch.fft.ifft(torch.fft.fft(z)).real, w == z

    g = r.compile(f)
    z = torch.complex(grid(), -grid())
    g(z, 2)
    g(z, 1j)
    g(z.conj(), 0.5)
    g(z[:, ::2], torch.tensor(1 + 2j))


@odd
def sparse_in_the_middle(r):
    def f(x, idx):
        s = torch.sparse_coo_tensor(idx, x.reshape(-1)[: idx.shape[1]], (3, 3))
        d = s.coalesce()
        y = torch.sparse.mm(d, torch.ones(3, 2)) + s.to_dense()[:, :2]
        return y, d.values(), d._nnz(), s.is_coalesced(), x.to_sparse().sum()

    g = r.compile(f)
    g(grid(), torch.tensor([[0, 1, 0], [1, 2, 1]]))
    g(grid(), torch.tensor([[2], [2]]))
    g(grid().requires_grad_(), torch.tensor([[0, 1, 2, 0], [0, 1, 2, 0]]))


@odd
def numpy_there_and_back(r):
    kept = np.zeros(3, dtype=np.float32)

    def f(x, a):
        n = x.detach().numpy()
        b = np.einsum("ij,j->i", n, a[:3])
        kept[:] += n.sum(0)
        t = torch.from_numpy(kept)
        n[0, 0] = 100.0
        return x + float(b.mean()), t, b.astype(np.int64), np.where(n > 3, n, 0).sum(), torch.as_tensor(a) * 2

    g = r.compile(f)
    a = np.arange(4, dtype=np.float32)
    g(grid(), a)
    r.see(kept)
    _ = g(grid(2.0), a[::-1].copy())
    g(grid(), np.float64([1, 2, 3]))
    r.see(kept)


@odd
def warnings_once_and_always(r):
    def f(x, n):
        if n:
            warnings.warn(f"n is {n}", DeprecationWarning, stacklevel=1)
        y = x
        for i in range(n):
            y = y + i
            print(i, end=",")
        warnings.warn("always", stacklevel=2)
        LOG.debug("%s", n)
        print()
        return y

    g = r.compile(f)
    for n in (0, 1, 2, 1):
        g(grid(), n)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        g(grid(), 1)
        g(grid(), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        g(grid(), 2)


@odd
def stdout_redirected_inside(r):
    def f(x, deep):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            print("hidden", x.shape)
            if deep:
                with contextlib.redirect_stdout(sys.__stderr__ and io.StringIO()) as lost:
                    print(x.sum())
                print(lost.getvalue().strip() != "")
        print("seen", out.getvalue().count("\n"))
        return x * len(out.getvalue())

    g = r.compile(f)
    g(grid(), False)
    g(grid(), True)
    g(grid()[:1], False)


@odd
def mutual_recursion_with_memo(r):
    memo: dict[int, torch.Tensor] = {}

    def even(x, n):
        if n not in memo:
            memo[n] = x if n == 0 else odd_(x, n - 1) * 2
        return memo[n]

    def odd_(x, n):
        return even(x, n - 1) + n if n else x

    def f(x, n):
        return even(x, n)

    g = r.compile(f)
    g(grid(), 4)
    r.see(sorted(memo))
    g(grid(9.0), 4)
    g(grid(9.0), 6)
    memo[0] = torch.zeros(3)
    memo.pop(6)
    g(grid(), 6)
    memo.clear()
    g(grid(3.0), 5)
    r.see(memo)


class _EMA(nn.Module):
    decay = 0.5

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", None)
        self.register_buffer("count", torch.tensor(0))
        self.lin = fill(nn.Linear(3, 3))

    def forward(self, x):
        h = self.lin(x)
        batch = h.detach().mean(0)
        self.mean = batch if self.mean is None else torch.lerp(batch, self.mean, self.decay)
        self.count += 1
        if self.count % 2 == 0:
            self.mean = self.mean.clone().zero_()
        return h - self.mean, self.count


@odd
def buffer_born_and_reset(r):
    net = _EMA()
    g = r.compile(net)
    for s in (1.0, 2.0, 3.0):
        g(grid(s))
        r.see(net.mean, net.count)
    _EMA.decay = 0.9
    g(grid())
    net.decay = 0.1
    g(grid())
    del net.decay
    _EMA.decay = 0.5
    net.mean = None
    g(grid())
    r.see(net)


@odd
def optimizer_and_backward_inside(r):
    net = fill(nn.Linear(3, 1))
    opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []

    def f(x):
        with torch.enable_grad():
            opt.zero_grad(set_to_none=True)
            loss = (net(x) ** 2).mean()
            loss.backward()
            gn = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
        losses.append(loss.item())
        return loss.detach(), gn

    g = r.compile(f)
    g(grid())
    g(grid())
    opt.param_groups[0]["lr"] = 0.01
    g(grid(0.5))
    r.see(net, losses, opt.state_dict()["state"][0]["momentum_buffer"], [p.grad for p in net.parameters()])


@odd
def object_graph_with_cycles(r):
    class Node:
        def __init__(self, w):
            self.w, self.next, self.visits = w, None, 0

    a, b, c = Node(1.0), Node(torch.tensor(2.0)), Node(3)
    a.next, b.next, c.next = b, c, a

    def f(x, start, steps):
        node = start
        seen = []
        while steps:
            node.visits += 1
            x = x * node.w + node.visits
            seen.append(node.visits)
            node, steps = node.next, steps - 1
        return x, seen, node is start

    g = r.compile(f)
    g(grid(), a, 3)
    g(grid(), b, 4)
    b.next = b
    g(grid(), a, 4)
    b.w += 1
    c.next, a.next = a, None
    g(grid(), c, 2)
    g(grid(), c, 3)
    r.see(a.visits, b.visits, c.visits, b.w)
