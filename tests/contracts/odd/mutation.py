"""What is written to: inputs, views, lists, outputs that share memory."""

from __future__ import annotations

import numpy as np
import torch

from tests.contracts.odd.recorder import grid, odd


@odd
def writes_an_input(r):
    f = r.compile(lambda x: x.add_(1))
    for _ in range(2):
        f(grid())


@odd
def writes_part_of_an_input(r):
    def f(x):
        x[0, 1:] = 7
        x[:, 0] *= 2
        x.t()[1].zero_()
        x.view(-1)[-1] += 5

    f = r.compile(f)
    f(grid())
    f(torch.ones(4, 5))
    f(grid().t())


@odd
def writes_then_reads_a_view(r):
    def f(x):
        v = x[0]
        x.mul_(2)
        w = v + 1
        v.sub_(1)
        return w, x, v

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def writes_an_output_later(r):
    f = r.compile(lambda x: (x * 2, x.view(-1), x[0]))
    x = grid()
    out = f(x)
    if isinstance(out, tuple):
        out[0].add_(1)
        out[1].mul_(3)
        out[2].sub_(1)
    r.see(x, out)
    r.see(f(grid()))


@odd
def two_names_for_one_input(r):
    f = r.compile(lambda x, y: (x.add_(1), y * 2))
    x = grid()
    f(x, x)
    f(grid(), grid())
    f(x, x[0])
    f(x[0], x[1])
    f(x, x.t().t())


@odd
def overlapping_inputs(r):
    f = r.compile(lambda x, y: (x.mul_(2), y + 1)[1])
    memory = torch.arange(6.0)
    f(memory[:4], memory[2:])
    f(memory[:4], memory[:4])
    f(torch.ones(4), torch.ones(4))
    r.see(memory)


@odd
def input_returned(r):
    f = r.compile(lambda x, y: (x, [y, x], {"x": x}, x.view_as(x), x.detach(), x.contiguous(), x.float(), x.to("cpu")))
    f(grid(), grid())
    f(grid().requires_grad_(), grid())


@odd
def list_argument_edited(r):
    def f(items, x):
        items.append(x * 2)
        items[0] = x
        items.sort(key=lambda t: float(t.sum()))
        del items[-1]
        items += [x, x]
        return len(items)

    f = r.compile(f)
    for _ in range(2):
        items = [torch.ones(2, 3), torch.zeros(2, 3)]
        f(items, grid())
        r.see(items)


@odd
def dict_argument_edited(r):
    def f(d, x):
        d["new"] = x * 2
        d.pop("old", None)
        d.setdefault("n", []).append(x)
        d.update(z=1)
        d["a"], d["b"] = d["b"], d["a"]
        return list(d)

    f = r.compile(f)
    for _ in range(2):
        d = {"a": torch.ones(1), "b": torch.zeros(1), "old": 3}
        f(d, grid())
        r.see(d)


@odd
def set_argument_edited(r):
    def f(s, x):
        s.add(x.shape[0])
        s.discard("gone")
        return x * len(s)

    f = r.compile(f)
    for s in ({"gone", 1}, {2}, set()):
        f(s, grid())
        r.see(s)


@odd
def nested_containers_edited(r):
    def f(tree, x):
        tree["a"][0]["b"].append(x + 1)
        tree["a"].append(tree["a"][0]["b"])
        return tree["a"][0]["b"][-1]

    f = r.compile(f)
    tree = {"a": [{"b": []}]}
    for _ in range(3):
        f(tree, grid())
        r.see(tree["a"][0], len(tree["a"]), tree["a"][1] is tree["a"][0]["b"])


@odd
def numpy_shares_memory(r):
    def f(x):
        a = x.numpy()
        a[0, 0] = 50
        y = torch.from_numpy(a)
        y[1, 1] = 70
        return x + 1, y, a

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def numpy_argument_written(r):
    def f(a, x):
        a += 1
        a[0] = 9
        return x + torch.from_numpy(a)

    f = r.compile(f)
    for _ in range(2):
        a = np.ones(3, dtype=np.float32)
        f(a, grid())
        r.see(a)


@odd
def assigns_data(r):
    def f(x, w):
        w.data = w.data * 2
        x.data[0] = 5
        return x * w

    f = r.compile(f)
    w = torch.ones(3, requires_grad=True)
    for _ in range(3):
        f(grid(), w)
        r.see(w)


@odd
def set_and_swap(r):
    def f(x, y):
        x.set_(y)
        return x + 1

    f = r.compile(f)
    f(grid(), torch.ones(4))
    f(grid(), torch.ones(4))


@odd
def resizes_an_input(r):
    def f(x):
        x.resize_(6)
        x.squeeze_()
        return x.unsqueeze_(0)

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def transposes_in_place(r):
    f = r.compile(lambda x: (x.t_(), x.unsqueeze_(0), x.sum(0))[2])
    f(grid())
    f(torch.ones(2, 5))


@odd
def out_argument(r):
    def f(x, out):
        torch.add(x, 1, out=out)
        return torch.mul(x, 2, out=x), out

    f = r.compile(f)
    out = torch.empty(2, 3)
    f(grid(), out)
    r.see(out)
    f(grid(), torch.empty(0))


@odd
def copy_with_another_dtype(r):
    def f(x, y):
        y.copy_(x)
        y += 0.5
        return y

    f = r.compile(f)
    f(grid(), torch.zeros(2, 3))
    f(grid(), torch.zeros(3, dtype=torch.float64).expand(2, 3).clone())
    f(grid(), torch.zeros(2, 3, dtype=torch.int32))


@odd
def index_put_repeated(r):
    def f(x, i):
        x[i] = torch.arange(3.0)
        x.index_add_(0, i, torch.ones(3, 3))
        x.scatter_(1, torch.zeros(2, 1, dtype=torch.int64), 9.0)
        x[x > 5] = -1
        return x

    f = r.compile(f)
    f(grid(), torch.tensor([1, 1, 1]))
    f(grid(), torch.tensor([0, 1, -1]))


@odd
def expanded_input_written(r):
    f = r.compile(lambda x: x.add_(1))
    f(torch.ones(1, 3).expand(2, 3))
    f(torch.ones(3).as_strided((2, 2), (1, 1)))
    f(grid())


@odd
def as_strided_input(r):
    f = r.compile(lambda x: (x * 2, x.sum(0), x.reshape(-1)))
    f(torch.arange(10.0).as_strided((3, 3), (2, 1)))
    f(torch.arange(10.0).as_strided((3, 3), (0, 1)))
    f(torch.arange(10.0).as_strided((3, 3), (1, 1), 2))


@odd
def writes_a_constant(r):
    k = torch.zeros(3)

    def f(x):
        k.add_(x[0])
        k[0] = 0
        return k * 2

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(k)
    k = torch.ones(3)
    f(grid())
    r.see(k)


@odd
def result_kept_and_input_written(r):
    kept = []

    def f(x):
        kept.append(x)
        kept.append(x * 2)
        x.add_(1)
        return x[0]

    f = r.compile(f)
    f(grid())
    r.see(kept, kept[0] is kept[1])
    f(grid())
    r.see(kept)


@odd
def equal_results(r):
    f = r.compile(lambda x: (x * 2, x * 2, x + 0, x * 1, -(-x), x.clone()))
    x = grid()
    out = f(x)
    if isinstance(out, tuple):
        for one in out:
            one.add_(1)
    r.see(out, x)


@odd
def view_of_a_result(r):
    def f(x):
        y = x * 2
        return y, y[0], y.t(), y.view(-1)[1:], y.unsqueeze(0).expand(2, 2, 3)

    f = r.compile(f)
    out = f(grid())
    if isinstance(out, tuple):
        out[0].fill_(4)
    r.see(out)
    f(grid().requires_grad_())


@odd
def constant_returned(r):
    k = torch.ones(2)
    f = r.compile(lambda x: (k, k + 0, torch.tensor([1.0, 2.0]), torch.zeros(2), torch.empty(0)))
    out = f(grid())
    if isinstance(out, tuple):
        out[2].add_(1)
        out[3].add_(1)
        out[0].add_(1)
    r.see(out, k)
    f(grid())


@odd
def swaps_by_tuple(r):
    def f(x, y):
        x, y = y, x
        x += 1
        y, x = x * 2, y
        return x, y

    f = r.compile(f)
    f(grid(), torch.zeros(2, 3))


@odd
def augmented_assignment(r):
    def f(x, y):
        x += y
        x -= 1
        x *= 2
        x /= 4
        x **= 2
        x //= 2
        x %= 3
        y = y + 1
        y += x
        return x, y

    f = r.compile(f)
    f(grid(), torch.ones(3))
    f(grid(), 2)
    f(torch.ones(2, 3, dtype=torch.int64), 2)


@odd
def input_that_is_a_result_of_before(r):
    f = r.compile(lambda x: x.mul_(2) + 1)
    x = grid()
    for _ in range(3):
        y = f(x)
        x = y if isinstance(y, torch.Tensor) and y.ndim == 2 else x
        r.see(x)


@odd
def requires_grad_of_a_list(r):
    def f(ts):
        for t in ts:
            t.requires_grad_()
        return sum(t.sum() for t in ts)

    f = r.compile(f)
    ts = [torch.ones(2), torch.ones(3)]
    f(ts)
    f(ts)
    r.see([t.requires_grad for t in ts])


@odd
def attributes_of_tensors(r):
    def f(x):
        seen = getattr(x, "note", 0)
        x.note = seen + 1
        y = x * (seen + 1)
        y.tag = "made"
        return y

    f = r.compile(f)
    x = grid()
    y = f(x)
    f(x)
    r.see(x.note, getattr(y, "tag", None))
    x.note = 10
    f(x)


@odd
def grad_of_an_input(r):
    def f(x):
        before = x.grad
        x.grad = torch.ones_like(x) if before is None else before * 2
        return x * x.grad

    f = r.compile(f)
    x = grid().requires_grad_()
    for _ in range(3):
        f(x)
        r.see(x.grad)
