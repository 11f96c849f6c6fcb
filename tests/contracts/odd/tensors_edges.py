"""Tensors at the edges: sparse, complex, NumPy, copies, hooks, truth, memory that overlaps."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle

import numpy as np
import torch
from torch.nn import functional as F

from tests.contracts.odd.recorder import grid, odd


@odd
def sparse_inside(r):
    def f(x, dense):
        s = x.to_sparse()
        y = torch.sparse.mm(s, dense)
        return y, s._nnz(), s.coalesce().values(), s.is_sparse

    g = r.compile(f)
    g(torch.eye(3) * 2, torch.ones(3, 2))
    g(torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0]]), torch.ones(3, 2))
    g(torch.eye(2).to_sparse(), torch.ones(2, 2))


@odd
def complex_arithmetic_tensors(r):
    def f(x):
        z = torch.complex(x, x.flip(0))
        w = z * z.conj() + 1j
        return w, w.real, z.abs(), torch.view_as_real(w), z.angle(), w.is_conj(), z.conj().is_conj(), torch.fft.fft(z)

    g = r.compile(f)
    g(torch.tensor([1.0, -2.0, 0.5]))
    g(torch.tensor([0.0, 3.0]))
    if r.way != "step":
        g(torch.tensor([1.0, -2.0]).requires_grad_())


@odd
def numpy_and_back(r):
    def f(x):
        n = x.detach().numpy()
        m = np.tanh(n) + np.arange(3, dtype=np.float32)
        n2 = n.copy()
        n2[0] = 0
        back = torch.from_numpy(m)
        q = np.asarray(x.detach()).sum(axis=0)
        return back * x, n2, q, float(m.max()), isinstance(n, np.ndarray), torch.as_tensor(q)

    g = r.compile(f)
    g(grid())
    g(grid(0.1))

    def h(x):
        n = x.numpy()
        n += 1
        n[0, 0] = 9
        return x * 2

    h = r.compile(h)
    x = grid()
    h(x)
    r.see(x)


@odd
def array_protocol(r):
    def f(a, t):
        return np.add(a, 1), t + torch.tensor(a), np.mean(a), a[a > 1], a.astype(np.int64) // 2, a.dtype.name

    g = r.compile(f)
    g(np.arange(3.0, dtype=np.float32), torch.ones(3))
    g(np.arange(6).reshape(2, 3), torch.ones(3))
    g(np.array([True, False, True]), torch.ones(3))


@odd
def item_and_conversions(r):
    def f(x):
        a = x.sum().item()
        b = int(x[0, 0])
        c = float(x.max())
        d = bool(x.min() > 0)
        e = x.tolist()
        h = [0, 1, 2][x.argmax() % 3]
        i = range(int(x[0, 1]))
        return x * a + b, c, d, e, h, len(i), round(c, 2), f"{x[0, 0]:.1f}", divmod(b + 1, 3), complex(x[0, 0])

    g = r.compile(f)
    for s in (1.0, 0.5, 2.0):
        g(grid(s))


@odd
def repr_and_format(r):
    def f(x):
        s = [str(x), repr(x.sum()), f"{x.mean():>10.3f}", "%s" % (x.shape,), "{}".format(x.dtype), str(x.size())]
        return x * len(s[0]), s

    g = r.compile(f)
    g(grid())
    g(torch.ones(2, dtype=torch.float64))
    torch.set_printoptions(precision=2)
    try:
        g(grid() / 3)
    finally:
        torch.set_printoptions(profile="default")


@odd
def pickled_and_copied_inside(r):
    @dataclasses.dataclass
    class State:
        w: torch.Tensor
        n: int = 0
        more: list = dataclasses.field(default_factory=list)

    state = State(torch.ones(3))

    def f(x):
        snap = copy.deepcopy(state)
        thin = copy.copy(state)
        thin.more.append(len(state.more))
        state.n += 1
        state.w.add_(1)
        new = dataclasses.replace(snap, n=snap.n + 10)
        data = pickle.loads(pickle.dumps({"w": snap.w, "n": new.n}))
        return x * data["w"] + data["n"], thin.w is state.w, snap.w is state.w, dataclasses.asdict(new)

    g = r.compile(f)
    for _ in range(3):
        g(grid())
    r.see(state)


@odd
def saved_and_loaded_inside(r):
    def f(x):
        buf = io.BytesIO()
        torch.save({"x": x}, buf)
        buf.seek(0)
        y = torch.load(buf)["x"]
        return y + x, torch.equal(x, y), buf.tell() > 0

    g = r.compile(f)
    g(grid())
    g(grid(2.0))


@odd
def hooks_on_tensors(r):
    log = []

    def f(x):
        y = x * 2
        if y.requires_grad:
            y.register_hook(lambda g: log.append(("y", g.sum().item())) or g * 3)
        return (y * x).sum()

    g = r.compile(f)
    g(grid())
    if r.way != "step":
        x = grid().requires_grad_()
        h = x.register_hook(lambda g: log.append("x"))
        g(x * 1).backward()
        r.see(x.grad, log)
        h.remove()
        x.grad = None
        g(x * 1).backward()
        r.see(x.grad, log)


@odd
def equality_and_truth(r):
    def f(x, y):
        out = [x is y, x.equal(y), torch.allclose(x, y), (x == y).all().item(), x.shape == y.shape]
        try:
            out.append(bool(x == y))
        except RuntimeError as e:
            out.append(str(e)[:30])
        out.append([k for k, v in enumerate(x.flatten()) if v > 2])
        return x + y, out, x if x.sum() else y, not x.sum(), x.sum() and y.sum(), x.min() or y

    g = r.compile(f)
    x = grid()
    g(x, x)
    g(x, grid())
    g(torch.zeros(1), torch.ones(1))


@odd
def out_and_where(r):
    def f(x, out):
        torch.mul(x, 2, out=out)
        res = torch.add(x, 1, out=out)
        torch.cumsum(x, 0, out=out)
        return res, res is out, torch.where(x > 2)

    g = r.compile(f)
    g(grid(), torch.empty(2, 3))
    g(grid(), torch.empty(0))
    g(grid(), torch.zeros(3, 2).t())
    g(grid(), torch.zeros(2, 3, dtype=torch.long))


@odd
def memory_overlap(r):
    def f(x):
        w = x.unfold(0, 3, 1)
        s = torch.as_strided(x, (3, 3), (1, 1))
        y = w.sum(1)
        w2 = s * 2
        e = x[:1].expand(4)
        try:
            e.add_(1)
        except RuntimeError as err:
            return y, w2, str(err)[:40]
        return y, w2

    g = r.compile(f)
    g(torch.arange(5.0))
    g(torch.arange(7.0))


@odd
def functional_flags(r):
    def f(x, p, training):
        y = F.dropout(x, p, training=training, inplace=True)
        z = F.relu(x, inplace=True)
        return y, z is x, F.one_hot(x.long().clamp(0, 4), 5), F.pad(x, (1, 0), value=p)

    g = r.compile(f)
    g(grid(), 0.5, False)
    g(grid(), 0.5, True)
    g(grid(), 1.5, True)
    g(grid(-1.0), 0.0, True)
