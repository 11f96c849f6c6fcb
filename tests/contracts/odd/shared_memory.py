"""Tensors that are one object or lie in one memory: views, strides, ``out=``, indexing, copies; sizes of data."""

from __future__ import annotations

import copy
import weakref

import numpy as np
import torch

from tests.contracts.odd.recorder import grid, odd


@odd
def windows_of_one_memory(r):
    def f(x):
        windows = x.as_strided((3, 2), (1, 1))
        unfolded = x.view(-1).unfold(0, 2, 1)
        return windows * 2, unfolded, unfolded.sum(-1), windows.storage_offset(), x.diagonal()

    f = r.compile(f)
    f(grid())
    f(grid() * 2)
    f(torch.arange(12.0).reshape(3, 4)[1:, 1:])


@odd
def row_is_written_and_the_whole_is_read(r):
    def f(x):
        row = x[0]
        column = x[:, -1]
        row += 10
        column.mul_(2)
        x[..., None][1, 0, 0] = -5
        return x.sum(), row is x[0], row, column

    f = r.compile(f)
    f(grid())
    f(grid().t().contiguous().t())
    f(torch.arange(12).reshape(3, 4))


@odd
def out_arguments_of_every_kind(r):
    def f(x, out):
        a = torch.mul(x, 2, out=out)
        values, places = torch.empty(0), torch.empty(0, dtype=torch.long)
        got = torch.max(x, -1, out=(values, places))
        return a is out, got.values is values, values, places

    f = r.compile(f)
    f(grid(), torch.zeros(2, 3))
    f(grid(), torch.zeros(3, 2).t())
    f(grid(), torch.zeros(2, 3, dtype=torch.double))
    f(grid(), torch.zeros(2, 3, dtype=torch.long))


@odd
def index_with_everything(r):
    def f(x, mask):
        a = x[None, ..., 1:, [0, -1, 0]]
        b = x[mask]
        c = x[torch.tensor(1), :, None]
        d = x[True], x[False].shape, x[:, ::2], x.flip(0)[:1], x[[[0], [1]], [[0, 1]]]
        x[mask] = 0
        x[1, ...] *= 3
        return a, b, c, d, x

    f = r.compile(f)
    f(grid(), grid() > 3)
    f(grid(), grid() > 30)
    f(grid(), torch.tensor([True, False]))


@odd
def steps_that_go_backwards(r):
    def f(x, step):
        try:
            y = x[:, ::step]
        except ValueError as error:
            return str(error), list(range(3))[::step]
        return y, y.stride(), [1, 2, 3][::step]

    f = r.compile(f)
    f(grid(), 2)
    f(grid(), -1)
    f(grid(), 1)
    f(grid(), 0)


@odd
def result_is_sometimes_what_was_given(r):
    def f(x):
        same = [
            x.contiguous(),
            x.to(torch.float32),
            x.float(),
            x.reshape(2, 3),
            x.detach(),
            x.expand(2, 3),
            x.squeeze(),
            x.requires_grad_(False),
            torch.as_tensor(x),
            x.type_as(x),
            x.clone(),
        ]
        return [y is x for y in same], [y._base is x for y in same], same

    f = r.compile(f)
    f(grid())
    f(grid().double())
    f(grid().t().contiguous().t())


@odd
def one_tensor_under_many_names(r):
    def f(x, table):
        table["a"].add_(1)
        table["c"] = table["a"]
        table["list"].append(x)
        return table["b"] * 2, table["a"] is table["b"], table["list"][0] is x

    f = r.compile(f)
    x = grid()
    f(x, {"a": x, "b": x, "list": []})
    f(grid(), {"a": grid(), "b": grid(), "list": [1]})
    y = grid()
    f(grid(), {"a": y, "b": y[:], "list": []})


@odd
def chunks_written_one_by_one(r):
    def f(x):
        a, b = x.chunk(2)
        a.copy_(b * 2)
        parts = list(torch.unbind(x, 1))
        parts[0].zero_()
        for part in x.split(1):
            part[0, 1:] += 1
        return x, torch.cat([a, b], 1), a._base is x

    f = r.compile(f)
    f(grid())
    f(torch.arange(8.0).reshape(4, 2))


@odd
def copies_that_share_and_do_not(r):
    def f(x):
        shallow, deep = copy.copy(x), copy.deepcopy(x)
        x.add_(1)
        pair = copy.deepcopy([x, x, x[0]])
        pair[0].mul_(2)
        return shallow, deep, pair, pair[0] is pair[1], shallow is x

    f = r.compile(f)
    f(grid())
    f(grid().int())


@odd
def kept_tensor_is_written_next_time(r):
    kept = []

    def f(x):
        y = x * 2
        if kept:
            kept[-1].add_(y)
        kept.append(y)
        return kept[0]

    f = r.compile(f)
    for k in (1.0, 2.0, 3.0):
        f(grid(k))
    r.see(kept)


@odd
def array_and_tensor_of_one_memory(r):
    array = np.zeros((2, 3), dtype=np.float32)
    shared = torch.from_numpy(array)

    def f(x):
        shared.add_(x)
        array[0, 0] = 100
        return shared * 2, array.sum(), x.numpy().mean(axis=0), np.add(x.numpy(), 1).dtype

    f = r.compile(f)
    f(grid())
    f(grid())
    array[:] = 0
    f(grid())
    r.see(array)


@odd
def numpy_arguments_and_results(r):
    def f(a, k):
        b = a * k
        c = np.concatenate([b, a])[::-1]
        return c, b.dtype.name, a.strides, np.float64(k) * 2, np.where(b > 2, b, 0), a.shape

    f = r.compile(f)
    f(np.arange(4.0), 2)
    f(np.arange(4), 2)
    f(np.arange(4, dtype=np.int8), 100)
    f(np.arange(6.0).reshape(2, 3), 2)


@odd
def sizes_that_the_values_decide(r):
    def f(x):
        places = x.nonzero()
        values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
        chosen = x.masked_select(x > 2)
        if len(places) > 4:
            return places.shape, values.max(), counts
        return chosen.numel(), inverse, chosen.mean() if chosen.numel() else None

    f = r.compile(f)
    f(grid())
    f(torch.tensor([[0.0, 1.0, 0.0], [3.0, 3.0, 0.0]]))
    f(torch.zeros(2, 3))


@odd
def lists_of_values_steer(r):
    def f(x, lengths):
        parts = x.split(lengths.tolist(), dim=1)
        total = sum(p.sum().item() * i for i, p in enumerate(parts))
        table = {round(v): i for i, v in enumerate(x[0].tolist())}
        return parts, total, table, max(lengths.tolist()), [int(n) for n in lengths]

    f = r.compile(f)
    f(grid(), torch.tensor([1, 2]))
    f(grid(), torch.tensor([3]))
    f(grid(), torch.tensor([0, 1, 2]))
    f(grid(), torch.tensor([1, 1]))


@odd
def truth_of_tensors_in_every_place(r):
    def f(x):
        flags = [bool(x[0, 0]), not x[0, 1], x[0, 0] and "yes", x[0, 0] or "no", any(x[0] > 2), all(x[0] > 0)]
        kept = [v for v in x[0] if v]
        count = len(list(filter(None, x[1])))
        assert x.shape[0] == 2, "rows"
        return flags, kept, count, sorted(x[0].tolist(), reverse=True), max(x[0]), x[0].argmax() == 2

    f = r.compile(f)
    f(grid())
    f(-grid())
    f(torch.zeros(2, 3))
    f(torch.zeros(3, 3))


@odd
def number_of_tensor_with_many_values(r):
    def f(x):
        try:
            return (
                float(x),
                int(x),
                complex(x),
                [10, 20, 30][x.long()],
                x.__index__() if not x.is_floating_point() else 0,
            )
        except Exception as error:
            return type(error).__name__, str(error)

    f = r.compile(f)
    f(torch.tensor(2.0))
    f(torch.tensor([1]))
    f(grid())
    f(torch.tensor(True))


@odd
def references_to_views_and_bases(r):
    pointers = []

    def f(x):
        y = x * 2
        view = y[0]
        pointers[:] = [weakref.ref(y), weakref.ref(view)]
        return view

    f = r.compile(f)
    got = f(grid())
    r.see([p() is not None for p in pointers], got._base is pointers[0]() if got is not None else None)
    f(grid())


@odd
def storage_grows_and_shrinks(r):
    def f(x):
        y = x.clone()
        y.resize_(4)
        y.resize_(2, 2)
        z = torch.empty(0)
        z.set_(x)
        z.t_()
        z.unsqueeze_(0)
        return y, z, z.shape, x.shape

    f = r.compile(f)
    f(grid())
    f(grid() + 1)


@odd
def promotion_with_python_numbers(r):
    def f(x, k):
        y = x + k
        z = x.clone()
        try:
            z += k
        except RuntimeError as error:
            return y, str(error)
        return y, z, x * True, torch.result_type(x, k), (x > k).sum(), k - x, x**k, x // 2, x / 2

    f = r.compile(f)
    f(torch.arange(3), 2)
    f(torch.arange(3), 2.5)
    f(torch.arange(3, dtype=torch.uint8), 300)
    f(torch.arange(3.0).half(), 1e5)
    f(torch.arange(3.0), 1j)
    f(torch.tensor([True, False]), 1)
