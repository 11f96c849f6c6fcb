"""Conditionals that tensors decide: every kind that may be compiled both ways, and those that may not."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.odd.recorder import grid, odd

THRESHOLD = 5.0
NOTES: list[str] = []
BOTH_WAYS = (1.0, -1.0, 0.2, -0.1, 3.0)  # what the grid is multiplied by: a condition holds for some of them


def each_way(r, function, *, slopes=True, times=BOTH_WAYS):
    """Call what is compiled for values of either side, without and with gradients (no batch of a step has any)."""
    compiled = r.compile(function)
    for sign in times:
        compiled(sign * grid())
    for sign in times if slopes and r.way != "step" else ():
        compiled((sign * grid()).requires_grad_())
    return compiled


@odd
def decides_if_else(r):
    def f(x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = x - 1
        return y + 1

    each_way(r, f)


@odd
def decides_if_alone(r):
    def f(x):
        y = x.sin()
        if y.mean() > 0.1:
            y = y * 3
        return y * 2

    each_way(r, f)


@odd
def decides_elif(r):
    def f(x):
        s = x.sum()
        if s > 30:
            y = x / 4
        elif s > 2:
            y = x * x
        elif s < -10:
            y = x.abs()
        else:
            y = x + 7
        return y

    each_way(r, f)


@odd
def decides_nested(r):
    def f(x):
        if x.sum() > 0:
            if x.max() > 4:
                z = x.exp()
            else:
                z = x.sin()
            y = z * 2
        else:
            if x.min() < -4:
                y = x.cos()
            else:
                y = x * x
        return y

    each_way(r, f)


@odd
def decides_three_deep(r):
    def f(x):
        y = x * 1
        if x[0, 0] > 0.1:
            y = y + 1
            if x[0, 1] > 0.5:
                y = y * 2
                if x[1, 2] > 3:
                    y = y - x
                else:
                    y = y + x
            y = y / 2
        return y.sum()

    each_way(r, f)


@odd
def decides_expression(r):
    each_way(r, lambda x: x.exp() if x.mean() < 1 else x.log1p())


@odd
def decides_expression_nested(r):
    each_way(r, lambda x: (x * 2 if x.sum() > 10 else x * 3) if x.sum() > 0 else x * 4)


@odd
def decides_expression_twice_on_a_line(r):
    each_way(r, lambda x: (x * 2 if x.sum() > 0 else x * 3) + (x.sin() if x.max() > 2 else x.cos()))


@odd
def decides_expression_in_call(r):
    def f(x):
        return F.softplus(x if x.max() > 2 else x * 0.5) + F.relu(input=x.neg() if x.sum() < 0 else x * 2)

    each_way(r, f)


@odd
def decides_early_return(r):
    def f(x):
        if x.sum() > 0:
            return x * 2
        return x - 1

    each_way(r, f)


@odd
def decides_early_returns(r):
    def f(x):
        if x.sum() > 30:
            return x.sqrt()
        y = x * 2
        if y.sum() > 5:
            y = y + 1
            return y.tanh()
        z = y * y
        if z.max() > 20:
            return z / 20
        return z + x

    each_way(r, f)


@odd
def decides_return_inside_of_nested(r):
    def f(x):
        y = x + 1
        if x.sum() > 0:
            if x.max() > 4:
                return y * 2
            y = y * 3
        else:
            y = y * 4
        return y - 1

    each_way(r, f)


@odd
def decides_return_in_python_if(r):
    def f(x, doubled=True):
        if doubled:
            if x.sum() > 0:
                return x * 2
            x = x + 1
        return x * 3

    each_way(r, f)


@odd
def decides_return_of_tuple(r):
    def f(x):
        if x.sum() > 0:
            return x * 2, x.sum()
        return x / 2, x.mean()

    each_way(r, f)


@odd
def decides_return_of_dict(r):
    def f(x):
        if x.sum() > 0:
            return {"y": x * 2, "parts": [x.sum(), x.mean()]}
        return {"y": x / 2, "parts": [x.mean(), x.sum()]}

    each_way(r, f)


@odd
def decides_return_of_other_structure(r):
    def f(x):
        if x.sum() > 0:
            return x * 2, x.sum()
        return x / 2

    each_way(r, f)


@odd
def decides_return_of_none(r):
    def f(x):
        if x.sum() > 0:
            return x * 2

    each_way(r, f)


@odd
def decides_return_of_number(r):
    def f(x):
        if x.sum() > 0:
            return 1
        return 2

    each_way(r, f)


@odd
def decides_return_of_argument(r):
    def f(x):
        if x.sum() > 0:
            x = x * 2
        return x

    each_way(r, f)


@odd
def decides_return_of_view_of_argument(r):
    def f(x):
        if x.sum() > 0:
            return x[0]
        return x[1]

    each_way(r, f)


@odd
def decides_argument_used_on(r):
    def f(x):
        if x.sum() > 0:
            x = x * 2
        return x + 1

    each_way(r, f)


@odd
def decides_argument_written_afterwards(r):
    def f(x):
        y = x * 2 if x.sum() > 0 else x
        y.add_(1)
        return y * 3

    each_way(r, f, slopes=False)


@odd
def decides_argument_written_afterwards_by_its_name(r):
    def f(x):
        y = x * 2 if x.sum() > 0 else x
        x.mul_(2)
        return y * 3

    each_way(r, f, slopes=False)


@odd
def decides_result_and_source_returned(r):
    def f(x):
        h = x * 3
        y = h.exp() if x.sum() < 0 else h
        return h, y

    each_way(r, f)


@odd
def decides_shapes_differ(r):
    def f(x):
        if x.sum() > 0:
            y = x[:1]
        else:
            y = x * 1
        return y.sum(0)

    each_way(r, f)


@odd
def decides_dtypes_differ(r):
    def f(x):
        y = x.double() if x.sum() > 0 else x * 2
        return y + 1

    each_way(r, f)


@odd
def decides_layouts_differ(r):
    def f(x):
        y = (x * 2).reshape(3, 2).t() if x.sum() > 0 else x * 3
        return y

    each_way(r, f)


@odd
def decides_augmented(r):
    def f(x):
        y = x * 2
        if y.sum() > 0:
            y += 1
            y *= x
        else:
            y -= 3
        return y * 2

    each_way(r, f)


@odd
def decides_augmented_argument(r):
    def f(x):
        if x.sum() > 0:
            x += 1
        return x * 2

    each_way(r, f, slopes=False)


@odd
def decides_augmented_with_a_view(r):
    def f(x):
        y = x * 2
        first = y[0]
        if x.sum() > 0:
            y += 1
        return y.sum() + first

    each_way(r, f)


@odd
def decides_augmented_alias(r):
    def f(x):
        y = x * 2
        z = y
        if x.sum() > 0:
            y += 1
        return y + z

    each_way(r, f)


@odd
def decides_augmented_alias_inside(r):
    def f(x):
        y = x * 2
        if x.sum() > 0:
            z = y
            z += 1
        return y + 1

    each_way(r, f)


@odd
def decides_augmented_dtype(r):
    def f(x):
        n = x.round().long()
        if x.sum() > 0:
            n += 2
        else:
            n //= 2
        return n * 2

    each_way(r, f, slopes=False)


@odd
def decides_in_place_method(r):
    def f(x):
        y = x * 2
        if y.sum() > 0:
            y.clamp_(max=4)
        return y + 1

    each_way(r, f)


@odd
def decides_in_place_of_own(r):
    def f(x):
        if x.sum() > 0:
            y = x.clone()
            y[0] = 0
            y.mul_(2)
        else:
            y = x.sin()
            y.add_(1)
        return y + 1

    each_way(r, f)


@odd
def decides_in_place_without_gradients(r):
    def f(x):
        with torch.no_grad():
            y = x * 2
            if y.sum() > 0:
                y.clamp_(max=4)
            else:
                x.add_(1)
        return y + 1

    each_way(r, f, slopes=False)


@odd
def decides_defined_in_one_branch(r):
    def f(x):
        if x.sum() > 0:
            y = x * 2
        try:
            return y + 1
        except UnboundLocalError:
            return x

    each_way(r, f)


@odd
def decides_defined_in_one_branch_and_unused(r):
    def f(x):
        y = x.cos()
        if x.sum() > 0:
            t = x * 2
            y = t + t * t
        return y

    each_way(r, f)


@odd
def decides_defined_and_missing(r):
    def f(x):
        if x.sum() > 0:
            y = x * 2
        return y

    each_way(r, f)


@odd
def decides_temporaries_of_one_name(r):
    def f(x):
        y = x
        if x.sum() > 0:
            t = x * 2
            y = t + 1
        if x.max() > 2:
            t = x * 3
            y = t - y
        return y * 2

    each_way(r, f)


@odd
def decides_in_a_loop(r):
    def f(x):
        y = x * 1
        for i in range(4):
            if y.sum() > i:
                y = y * 0.5
            else:
                y = y + i
        return y

    each_way(r, f)


@odd
def decides_in_a_loop_over_rows(r):
    def f(x):
        out = []
        for row in x:
            if row.sum() > 2:
                row = row / 2
            out.append(row * 2)
        return torch.stack(out)

    each_way(r, f)


@odd
def decides_when_to_break(r):
    def f(x):
        y = x * 1
        for _ in range(5):
            if y.sum() > 50:
                break
            y = y * 2
        return y

    each_way(r, f)


@odd
def decides_what_to_leave_out(r):
    def f(x):
        y = x * 0
        for row in x:
            if row.sum() > 7:
                continue
            y = y + row
        return y

    each_way(r, f)


@odd
def decides_return_in_a_loop(r):
    def f(x):
        for i in range(3):
            if x.sum() > i * 10:
                return x * i
        return x - 1

    each_way(r, f)


@odd
def decides_last_value_of_a_loop(r):
    def f(x):
        t = x * 0
        for i in range(3):
            u = x + t
            if u.sum() > 3:
                t = u * 0.3
                v = t + i
            else:
                v = u - i
            x = x + v
        return x, t

    each_way(r, f)


@odd
def decides_how_often(r):
    def f(x):
        y = x.abs() + 0.1
        while y.sum() < 100:
            y = y * 2
        return y

    each_way(r, f)


@odd
def decides_in_comprehension(r):
    def f(x):
        return torch.stack([row * 2 if row.sum() > 5 else row / 2 for row in x])

    each_way(r, f)


@odd
def decides_what_is_kept(r):
    def f(x):
        return [row * 2 for row in x if row.sum() > 0]

    each_way(r, f)


@odd
def decides_and(r):
    def f(x):
        if x.sum() > 0 and x.max() > 4:
            return x * 2
        return x * 3

    each_way(r, f)


@odd
def decides_or_not(r):
    def f(x):
        y = x + 1
        if not x.sum() > 0 or (x.max() > 10 and not x.min() < 2):
            y = y * 2
        return y

    each_way(r, f)


@odd
def decides_and_python(r):
    def f(x, wanted=True, factor=None):
        y = x * 1
        if wanted and x.sum() > 0 and factor is None:
            y = y * 2
        if factor is not None or x.max() > 4:
            y = y * 3
        return y

    compiled = each_way(r, f)
    compiled(grid(), wanted=False)
    compiled(grid(), factor=3)


@odd
def decides_guarded_index(r):
    def f(x, i):
        if (i < len(x)).all() and x[i].sum() > 0:
            return x * 2
        return x * 3

    compiled = r.compile(f)
    for i in (0, 1, 5, 1):
        compiled(grid(), torch.tensor(i))
        compiled(grid(-1), torch.tensor(i))


@odd
def decides_chain(r):
    def f(x):
        if 0 < x.sum() < 30:
            return x * 2
        return x * 3

    each_way(r, f)


@odd
def decides_chain_of_tensors(r):
    def f(x):
        low, high = x.min(), x.max()
        y = x * 2 if low < x.mean() <= high else x * 3
        return y - low

    each_way(r, f)


@odd
def decides_value_of_or(r):
    def f(x):
        y = x.sum() or x.max()
        return y * 2

    compiled = each_way(r, f)
    compiled(torch.tensor([[1.0, -1.0]]))


@odd
def decides_value_of_and(r):
    def f(x):
        return (x.sum() and x.max() * 2) + 1

    compiled = each_way(r, f)
    compiled(torch.tensor([[1.0, -1.0]]))


@odd
def decides_walrus(r):
    def f(x):
        if (s := x.sum()) > 0:
            return x * s
        return x - s

    each_way(r, f)


@odd
def decides_walrus_in_branch(r):
    def f(x):
        y = (t := x * 2) + t if x.sum() > 0 else (t := x * 3) - 1
        return y + t

    each_way(r, f)


@odd
def decides_bare_tensor(r):
    def f(x):
        if x.sum():
            return x * 2
        return x + 3

    compiled = each_way(r, f)
    compiled(torch.tensor([[1.0, -1.0]]))
    compiled(torch.tensor([[float("nan"), -1.0]]))


@odd
def decides_one_value_of_any_shape(r):
    def f(x):
        if x > 0:
            return x * 2
        return x + 3

    compiled = r.compile(f)
    for value in (1.0, -1.0):
        compiled(torch.full((1,), value))
        compiled(torch.full((1, 1), value))


@odd
def decides_any_and_all(r):
    def f(x):
        if (x > 5).any():
            x = x / 2
        if (x < 0).all() and not torch.isnan(x).any():
            x = -x
        return x + 1

    each_way(r, f)


@odd
def decides_item(r):
    def f(x):
        if x.sum().item() > 0.5:
            return x * 2
        return x - 1

    each_way(r, f)


@odd
def decides_float(r):
    def f(x):
        s = float(x.mean())
        if s > 0.5:
            y = x * s
        else:
            y = x - s
        return y

    each_way(r, f, slopes=False)


@odd
def decides_bool(r):
    def f(x):
        if bool(x.sum() > 0):
            return x * 2
        return x - 1

    each_way(r, f)


@odd
def decides_python_number(r):
    def f(x):
        k = 1.5
        if x.sum() > 0:
            k = 2.5
        return x * k

    each_way(r, f)


@odd
def decides_python_counter(r):
    def f(x):
        n = 0
        for row in x:
            if row.sum() > 0:
                n += 1
        return x * n

    each_way(r, f)


@odd
def decides_python_text(r):
    def f(x):
        kind = "up" if x.sum() > 0 else "down"
        return {kind: x * 2}

    each_way(r, f)


@odd
def decides_print(r):
    def f(x):
        if x.sum() > 0:
            print("up")
            y = x * 2
        else:
            y = x - 1
        return y

    each_way(r, f)


@odd
def decides_print_further_in(r):
    def tell(x):
        print("up")
        return x * 2

    def f(x):
        y = tell(x) if x.sum() > 0 else x - 1
        return y + 1

    each_way(r, f)


@odd
def decides_append(r):
    seen = []

    def f(x):
        if x.sum() > 0:
            seen.append(1)
            y = x * 2
        else:
            y = x - 1
        return y

    each_way(r, f)
    r.see(seen)


@odd
def decides_append_further_in(r):
    seen = []

    def double(x):
        seen.append("double")
        return x * 2

    def f(x):
        return double(x) if x.sum() > 0 else x - 1

    each_way(r, f)
    r.see(seen)


@odd
def decides_entry(r):
    table = {}

    def f(x):
        if x.sum() > 0:
            table["up"] = 1
            y = x * 2
        else:
            y = x - 1
        return y

    each_way(r, f)
    r.see(table)


@odd
def decides_local_list(r):
    def f(x):
        out = []
        if x.sum() > 0:
            out.append(x * 2)
        else:
            out.append(x * 3)
        return out[0] + 1

    each_way(r, f)


@odd
def decides_list_within(r):
    def f(x):
        if x.sum() > 0:
            parts = [x, x * 2]
            parts.append(x * 3)
            y = torch.stack(parts).sum(0)
        else:
            y = sum([x * i for i in range(3)])
        return y

    each_way(r, f)


@odd
def decides_global(r):
    global THRESHOLD

    def f(x):
        if x.sum() > THRESHOLD:
            y = x * THRESHOLD
        else:
            y = x / THRESHOLD
        return y

    compiled = each_way(r, f)
    THRESHOLD = -7.0
    try:
        for sign in BOTH_WAYS:
            compiled(sign * grid())
    finally:
        THRESHOLD = 5.0


@odd
def decides_global_set(r):
    def f(x):
        global THRESHOLD
        if x.sum() > 0:
            THRESHOLD = 6.0
        return x * THRESHOLD

    global THRESHOLD
    try:
        each_way(r, f)
    finally:
        r.see(THRESHOLD)
        THRESHOLD = 5.0


@odd
def decides_nonlocal_set(r):
    count = 0

    def f(x):
        nonlocal count
        if x.sum() > 0:
            count += 1
            x = x * 2
        return x + 1

    each_way(r, f)
    r.see(count)


@odd
def decides_closure(r):
    factor = torch.tensor(2.0)

    def f(x):
        if x.sum() > 0:
            y = x * factor
        else:
            y = x - factor
        return y

    compiled = each_way(r, f)
    factor = torch.tensor(3.0)
    for sign in BOTH_WAYS:
        compiled(sign * grid())


@odd
def decides_default(r):
    def f(x, factor=2.0, *, offset=1.0):
        if x.sum() > 0:
            return x * factor
        return x - offset

    compiled = each_way(r, f)
    f.__defaults__ = (5.0,)
    f.__kwdefaults__ = {"offset": 4.0}
    for sign in BOTH_WAYS:
        compiled(sign * grid())
    compiled(grid(), 3.0, offset=2.0)


@odd
def decides_code_replaced(r):
    def f(x):
        if x.sum() > 0:
            return x * 2
        return x - 1

    def g(x):
        if x.sum() > 0:
            return x * 20
        return x - 10

    compiled = each_way(r, f)
    f.__code__ = g.__code__
    for sign in BOTH_WAYS:
        compiled(sign * grid())


@odd
def decides_varied_arguments(r):
    def f(x, *others, scale, **named):
        if x.sum() > 0:
            y = x * scale + others[0]
        else:
            y = x - named["last"]
        return y

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        compiled(sign * grid(), grid(2), scale=2.0, last=grid(3))


@odd
def decides_inner_function(r):
    def f(x):
        def inner(a, k):
            if a.sum() > k:
                return a * 2
            return a - k

        return inner(x, 1.0) + inner(x * 2, 3.0)

    each_way(r, f)


@odd
def decides_inner_lambda(r):
    def f(x):
        pick = lambda a: a * 2 if a.sum() > 0 else a - 1  # noqa: E731
        return pick(x) + pick(x - 3)

    each_way(r, f)


@odd
def decides_function_that_reads_later(r):
    def f(x):
        y = x * 1
        late = lambda: y * 10  # noqa: E731
        if x.sum() > 0:
            y = y + 1
            z = late()
        else:
            z = late() + 1
        return y + z

    each_way(r, f)


@odd
def decides_generator(r):
    def f(x):
        def parts():
            for row in x:
                if row.sum() > 3:
                    yield row * 2
                else:
                    yield row

        return torch.stack(list(parts()))

    each_way(r, f)


@odd
def decides_generator_expression(r):
    def f(x):
        return sum((row * 2 if row.sum() > 3 else row * 1 for row in x), torch.zeros(3))

    each_way(r, f)


def clipped(x, most=5.0):
    """A helper of the module."""
    norm = x.norm()
    if norm > most:
        x = x * (most / norm)
    return x * 1


@odd
def decides_helper(r):
    each_way(r, lambda x: clipped(x) + clipped(x * 2, most=3.0))


@odd
def decides_helper_replaced(r):
    global clipped

    compiled = each_way(r, lambda x: clipped(x) * 2)
    before = clipped

    def other(x):
        return x - 1 if x.sum() > 0 else x + 1

    clipped = other
    try:
        for sign in BOTH_WAYS:
            compiled(sign * grid())
    finally:
        clipped = before
    for sign in BOTH_WAYS:
        compiled(sign * grid())


def decorated(function):
    def around(*args):
        return function(*args) + 1

    return around


@decorated
def doubled_or_not(x):
    if x.sum() > 0:
        return x * 2
    return x / 3


@odd
def decides_decorated(r):
    each_way(r, lambda x: doubled_or_not(x))


@odd
def decides_under_no_grad(r):
    @torch.no_grad()
    def f(x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = x.exp()
        return y

    each_way(r, f)


@odd
def decides_within_no_grad(r):
    def f(x):
        with torch.no_grad():
            s = x.sum()
            if s > 0:
                k = s * 2
            else:
                k = s - 1
        return x * k

    each_way(r, f)


@odd
def decides_no_grad_in_branch(r):
    def f(x):
        if x.sum() > 0:
            with torch.no_grad():
                y = x * 2
        else:
            y = x * 3
        return y + x

    each_way(r, f)


@odd
def decides_detached_in_one(r):
    def f(x):
        y = x.detach() * 2 if x.sum() > 0 else x * 3
        return y

    each_way(r, f)


@odd
def decides_constant_in_one(r):
    def f(x):
        y = torch.zeros(2, 3) if x.sum() > 0 else x * 3
        return y

    each_way(r, f)


@odd
def decides_gradient_of_one(r):
    w, v = torch.ones(3, requires_grad=True), torch.full((3,), 2.0, requires_grad=True)

    def f(x):
        if x.sum() > 0:
            return x * w
        return x * v

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        for leaf in (w, v):
            leaf.grad = None
        result = compiled(sign * grid())
        if result.requires_grad:
            result.sum().backward()
        r.see(w.grad, v.grad)


@odd
def decides_gradient_of_both(r):
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def f(x):
        if x.sum() > 0:
            y = (x * w).tanh()
        else:
            y = x.sin() * w.exp()
        return y.mean()

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        w.grad = None
        result = compiled(sign * grid())
        if result.requires_grad:
            result.backward()
        r.see(w.grad)


@odd
def decides_gradient_trap(r):
    def f(x):
        if x.min() > 0:
            return x.log().sum()
        return (x * 0.5).sum()

    compiled = each_way(r, f)
    compiled(torch.zeros(2, 3, requires_grad=True))


@odd
def decides_second_gradient(r):
    def f(x):
        (slope,) = torch.autograd.grad((x**3 if x.sum() > 0 else x**2).sum(), x, create_graph=True)
        return (slope * slope).sum()

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        compiled((sign * grid()).requires_grad_())


@odd
def decides_double_backward_outside(r):
    def f(x):
        return (x**3).sum() if x.sum() > 0 else (x**2).sum()

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        x = (sign * grid()).requires_grad_()
        result = compiled(x)
        if result.requires_grad:
            try:
                (slope,) = torch.autograd.grad(result, x, create_graph=True)
                r.see(slope, *torch.autograd.grad(slope.sum(), x))
            except RuntimeError as error:
                r.see("refused" if "double backward" in str(error) else str(error))


@odd
def decides_dropout(r):
    def f(x):
        if x.sum() > 0:
            return F.dropout(x, 0.5)
        return x * 2

    each_way(r, f)


@odd
def decides_dropout_off(r):
    def f(x):
        if x.sum() > 0:
            y = F.dropout(x * 2, 0.5, training=False)
        else:
            y = x * 2
        return y + 1

    each_way(r, f)


@odd
def decides_draws(r):
    def f(x):
        y = x + torch.rand(3)
        if x.sum() > 0:
            y = y + torch.randn(2, 3)
        return y + torch.rand(3)

    each_way(r, f)


@odd
def decides_beside_draws(r):
    def f(x):
        y = x + torch.rand(3)
        if y.sum() > 3:
            y = y * 2
        else:
            y = y - 1
        return y + torch.rand(3)

    each_way(r, f)


@odd
def decides_python_draws(r):
    import random

    def f(x):
        if x.sum() > 0:
            return x * random.random()
        return x * 2

    each_way(r, f)


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
