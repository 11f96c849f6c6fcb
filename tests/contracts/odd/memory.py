"""Tensors that share memory, come back as they are, or are seen from outside: views, NumPy, hooks, .data, .grad."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.odd.recorder import grid, odd


def leaf(*sizes):
    return torch.ones(*(sizes or (2, 3))).requires_grad_()


@odd
def dropout_that_does_nothing_is_the_input(r):
    def f(x, training):
        y = F.dropout(x, 0.5, training=training)
        y.add_(1)
        return y, x * 2

    f = r.compile(f)
    x = grid()
    f(x, False)
    r.see(x)
    g = r.compile(lambda x: F.dropout(x, 0.0, training=True).mul_(2))
    g(x)
    r.see(x)


@odd
def contiguous_of_what_is(r):
    def f(x):
        a, b, c = x.contiguous(), x.to(torch.float32), x.float()
        a[0, 0] = 100
        return a is x, b is x, c is x, x.expand_as(x).sum(), x.reshape(2, 3).data_ptr() == x.data_ptr()

    f = r.compile(f)
    x = grid()
    f(x)
    r.see(x)
    y = grid().view(3, 2).t()
    f(y)
    r.see(y)


@odd
def results_share_memory(r):
    def f(x):
        y = x * 2
        return y, y[0], y.t(), y.view(-1)[2:], y.unsqueeze(0)

    f = r.compile(f)
    y, row, turned, tail, _ = f(grid()) if r.way != "step" else (None,) * 5
    if y is not None:
        row.zero_()
        tail.neg_()
        r.see(y, turned)


@odd
def result_is_a_view_of_an_input(r):
    f = r.compile(lambda x: (x[:, 1], x.t(), x.diagonal(), x.unfold(1, 2, 1)))
    x = grid()
    results = f(x)
    if r.way != "step":
        results[0].fill_(7)
        results[2].mul_(0)
        r.see(x, results)


@odd
def real_and_imaginary_parts_are_views(r):
    def f(z):
        z.real.mul_(2)
        z.imag[0] = 5
        torch.view_as_real(z)[..., 0].add_(1)
        return z.conj().real

    f = r.compile(f)
    z = torch.complex(grid(), -grid())
    f(z)
    r.see(z)


@odd
def bits_of_another_dtype(r):
    def f(x):
        bits = x.view(torch.int32)
        bits ^= -(2**31)
        return x * 1, bits[0]

    f = r.compile(f)
    x = grid()
    f(x)
    r.see(x)


@odd
def numpy_sees_what_is_written(r):
    array = np.ones((2, 3), dtype=np.float32)
    x = torch.from_numpy(array)

    def f(x):
        x.mul_(3)
        return x.sum()

    f = r.compile(f)
    f(x)
    r.see(array.copy())
    array[0] = 10
    f(x)
    r.see(array.copy())


@odd
def numpy_of_a_result(r):
    f = r.compile(lambda x: (x.detach() * 2).numpy())
    a = f(grid())
    if r.way != "step":
        r.see(a.flags["WRITEABLE"], a.dtype.name, a.strides)
        b = f(grid())
        a[0] = 0
        r.see(b)


@odd
def numpy_written_inside_is_seen(r):
    def f(x):
        array = x.numpy()
        array[0, 0] = 42
        np.multiply(array, 2, out=array)
        return x * 1, float(array.sum())

    f = r.compile(f)
    x = grid()
    f(x)
    r.see(x)


@odd
def numpy_random_and_arrays_inside(r):
    def f(x):
        noise = np.random.rand(3).astype(np.float32)
        return x + torch.as_tensor(noise), np.linalg.norm(noise)

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def data_is_written_behind_autograd(r):
    def f(w, x):
        y = (w * x).sum()
        w.data.mul_(0.5)
        w.data[0, 0] = 9
        return y + (w * w).sum()

    f = r.compile(f)
    w = leaf()
    f(w, grid())
    r.see(w, w._version > 0)
    f(w, grid())


@odd
def data_is_replaced(r):
    def f(w, x):
        w.data = x * 2
        return w * 3

    f = r.compile(f)
    w = leaf()
    f(w, grid())
    r.see(w)
    f(w, torch.ones(4, 3))
    r.see(w.shape)


@odd
def gradients_add_up(r):
    def f(w, x):
        (w * x).sum().backward()
        seen = w.grad.clone()
        (w * 2).sum().backward()
        return seen, w.grad

    f = r.compile(f)
    w = leaf()
    f(w, grid())
    r.see(w.grad)
    f(w, grid())
    r.see(w.grad)
    w.grad = None
    f(w, grid())
    r.see(w.grad)


@odd
def gradient_of_what_was_given_is_read(r):
    def f(w):
        return w * 2 if w.grad is None else w.grad + w

    f = r.compile(f)
    w = leaf()
    f(w)
    w.grad = torch.full((2, 3), 4.0)
    f(w)
    w.grad.mul_(2)
    f(w)
    w.grad = None
    f(w)


@odd
def leaf_written_under_no_grad(r):
    def f(w, x):
        with torch.no_grad():
            w -= 0.1 * x
            w.clamp_(min=0)
        return (w * x).sum()

    f = r.compile(f)
    w = leaf()
    for _ in range(2):
        f(w, grid())
        r.see(w, w.requires_grad, w.is_leaf)


@odd
def leaf_written_where_it_must_not(r):
    f = r.compile(lambda w: w.add_(1) * 2)
    f(leaf())
    f(torch.ones(2, 3))
    f(leaf() * 1)


@odd
def detached_still_shares(r):
    def f(x):
        y = x * 2
        z = y.detach()
        z.zero_()
        return y.sum() + x.sum(), z.requires_grad

    f = r.compile(f)
    f(leaf())
    f(grid())


@odd
def hooks_change_the_gradient(r):
    log = []

    def f(x):
        y = x * 3
        y.register_hook(lambda g: g * 2)
        y.register_hook(lambda g: log.append(tuple(g.shape)))
        return y.sin()

    f = r.compile(f)
    f(leaf())
    r.see(log)
    f(leaf(3, 3))
    r.see(log)


@odd
def hook_removed_between_calls(r):
    x = leaf()
    handle = x.register_hook(lambda g: g * 10)
    f = r.compile(lambda x: x * 2)
    f(x)
    handle.remove()
    f(x)
    x.register_post_accumulate_grad_hook(lambda p: r.see("accumulated"))
    out = f(x)
    if r.way != "step":
        out.sum().backward()
    r.see(x.grad)


@odd
def requires_grad_switched_inside(r):
    def f(x):
        y = x.detach().requires_grad_(True)
        z = (y**2).sum()
        (g,) = torch.autograd.grad(z, y, create_graph=True)
        return g, z, y.requires_grad, g.requires_grad

    f = r.compile(f)
    f(grid())
    f(leaf())


@odd
def weak_references_of_results(r):
    kept = []

    def f(x):
        y = x * 2
        kept.append(weakref.ref(y))
        return y + 1

    f = r.compile(f)
    out = f(grid())
    gc.collect()
    r.see([ref() is None for ref in kept], out is None)


@odd
def attributes_stay_on_a_tensor(r):
    def f(x, w):
        w.tag = getattr(w, "tag", 0) + 1
        x.note = "seen"
        return x * w.tag

    f = r.compile(f)
    w = nn.Parameter(torch.ones(3))
    for _ in range(3):
        x = grid()
        f(x, w)
        r.see(w.tag, x.note)


@odd
def sizes_of_storage(r):
    f = r.compile(lambda x: (x.storage_offset(), x.stride(), x.untyped_storage().nbytes(), x.is_contiguous(), x * 1))
    base = torch.arange(12.0)
    f(base[2:8].view(2, 3))
    f(base[:6].view(2, 3))
    f(base.view(4, 3)[::2])


@odd
def list_of_results_is_the_list_given(r):
    def f(x, out):
        out.append(x * 2)
        out[0] = out[0] + 1
        return out

    f = r.compile(f)
    out = [torch.zeros(3)]
    got = f(grid(), out)
    r.see(got is out, len(out), out)
    got = f(grid(), out)
    r.see(got is out, len(out), out)


@odd
def copies_overlapping_in_memory(r):
    def f(x):
        x[1:] = x[:-1].clone()
        x[:, :2].copy_(x[:, 1:].clone())
        return x.flip(0)

    f = r.compile(f)
    x = torch.arange(12.0).reshape(4, 3)
    f(x)
    r.see(x)


@odd
def one_tensor_in_two_places(r):
    def f(items):
        items["a"].add_(1)
        return items["b"] * 2, items["a"] is items["b"]

    f = r.compile(f)
    x = grid()
    f({"a": x, "b": x})
    f({"a": grid(), "b": grid()})
    y = grid()
    f({"a": y, "b": y.view(2, 3)})
    r.see(x, y)


@odd
def out_given_twice(r):
    def f(x, out):
        torch.add(x, 1, out=out)
        torch.mul(out, out, out=out)
        return out

    f = r.compile(f)
    out = torch.empty(2, 3)
    got = f(grid(), out)
    r.see(got is out, out)
    x = grid()
    f(x, x)
    r.see(x)
    f(grid(), torch.empty(0))


@odd
def scatter_of_repeated_places(r):
    def f(x, i):
        a = torch.zeros(3).index_add(0, i, x)
        b = torch.zeros(3).scatter_add(0, i, x)
        c = torch.zeros(3).scatter_reduce(0, i, x, "amax", include_self=False)
        d = torch.zeros(3).index_put((i,), x, accumulate=True)
        return a, b, c, d

    f = r.compile(f)
    f(torch.arange(4.0), torch.tensor([0, 0, 2, 0]))
    f(torch.arange(4.0) - 9, torch.tensor([1, 1, 1, 1]))


@odd
def places_that_are_not_there(r):
    functions = (
        lambda x, i: x.index_select(0, i),
        lambda x, i: x.index_add(0, i, torch.ones(2, 3)),
        lambda x, i: x.index_copy(0, i, torch.ones(2, 3)),
        lambda x, i: x.index_fill(0, i, 7.0),
        lambda x, i: x.gather(0, i[:, None]),
        lambda x, i: x.scatter(0, i[:, None], 5.0),
        lambda x, i: x.scatter_add(0, i[:, None], torch.ones(2, 1)),
        lambda x, i: F.embedding(i, x),
        lambda x, i: x.take(i),
        lambda x, i: x[i],
        lambda x, i: x.index_put((i,), torch.zeros(3)),
        lambda x, i: torch.take_along_dim(x, i[:, None], 0),
    )
    for function in functions:
        f = r.compile(function)
        f(grid(), torch.tensor([0, 1]))
        f(grid(), torch.tensor([0, -1]))
        f(grid(), torch.tensor([0, 2]))


@odd
def classes_that_are_not_there(r):
    functions = (
        lambda x, t: F.cross_entropy(x, t),
        lambda x, t: F.nll_loss(x, t, reduction="sum"),
        lambda x, t: F.one_hot(t, 3) * 1.0,
        lambda x, t: F.cross_entropy(x, t, ignore_index=-1),
    )
    for function in functions:
        f = r.compile(function)
        f(grid(), torch.tensor([0, 2]))
        f(grid(), torch.tensor([0, -1]))
        f(grid(), torch.tensor([0, -100]))
        f(grid(), torch.tensor([0, 3]))


@odd
def dropout_is_asked_whether_it_is_its_input(r):
    f = r.compile(lambda x: (x * 2, F.dropout(x, 0.5, training=False) is x))
    f(grid())
