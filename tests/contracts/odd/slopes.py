"""Gradients in odd places: Functions, hooks, modes inside modes, leaves that are switched, second derivatives."""

from __future__ import annotations

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


def leaf(sign=1.0):
    return grid(sign).requires_grad_()


class Rounded(torch.autograd.Function):
    """Straight through, and it counts."""

    calls: list = []

    @staticmethod
    def forward(ctx, x, step):
        Rounded.calls.append("forward")
        ctx.step = step
        ctx.mark_non_differentiable(mask := x > 2)
        ctx.save_for_backward(x)
        return (x / step).round() * step, mask

    @staticmethod
    def backward(ctx, slope, _):
        Rounded.calls.append("backward")
        (x,) = ctx.saved_tensors
        return slope * ctx.step + x * 0, None


@odd
def function_with_two_results_that_counts(r):
    Rounded.calls.clear()

    def f(x, step):
        y, mask = Rounded.apply(x, step)
        return y.sum(), mask

    f = r.compile(f)
    f(grid(), 0.3)
    if r.way != "step":
        f(leaf(), 0.3)
        f(leaf(), 0.7)
    r.see(Rounded.calls)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        ctx.set_materialize_grads(False)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, slope):
        return None if slope is None else slope * 2


@odd
def function_that_writes_what_it_got(r):
    def f(x):
        y = x + 1
        z = Doubled.apply(y)
        return z, z is y, y

    f = r.compile(f)
    f(grid())
    if r.way != "step":
        f(leaf())


@odd
def modes_inside_modes(r):
    def f(x, k):
        states = [torch.is_grad_enabled()]
        with torch.no_grad():
            a = x * 2
            with torch.enable_grad():
                b = x * k
                states.append(torch.is_grad_enabled())
                with torch.set_grad_enabled(k > 2):
                    c = x * 3
            states.append(torch.is_grad_enabled())
        with torch.set_grad_enabled(False):
            d = x + 1
        return a, b, c, d, states, [t.requires_grad for t in (a, b, c, d)]

    f = r.compile(f)
    f(grid(), 1.0)
    if r.way != "step":
        f(leaf(), 1.0)
        f(leaf(), 3.0)
        with torch.no_grad():
            f(leaf(), 3.0)


@torch.no_grad()
def quiet(x):
    return x * 2


@odd
def mode_is_left_by_an_error(r):
    def f(x, k):
        try:
            with torch.no_grad():
                y = quiet(x) + x
                if k:
                    raise LookupError(k)
        except LookupError:
            return x * 2, torch.is_grad_enabled()
        return y, torch.is_grad_enabled()

    f = r.compile(f)
    f(grid(), 0)
    f(grid(), 1)
    if r.way != "step":
        f(leaf(), 1)
        f(leaf(), 0)


@odd
def penalty_on_the_slope(r):
    def f(x, weight):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            y = (x.tanh() * weight).sum()
            (slope,) = torch.autograd.grad(y, x, create_graph=True)
            return y + (slope.norm(dim=-1) - 1).square().mean()

    f = r.compile(f)
    f(grid(), torch.ones(3))
    if r.way != "step":
        f(grid(), torch.full((3,), 2.0, requires_grad=True))


@odd
def slope_is_kept_of_what_lies_between(r):
    def f(x):
        h = (x * 2).relu()
        h.retain_grad()
        loss = (h * h).sum()
        loss.backward()
        return h.grad, x.grad, h.grad_fn is not None

    if r.way == "step":
        f = r.compile(lambda x: f_(x))
        f_ = lambda x: (x * 2).relu()  # noqa: E731
        f(grid())
        return
    f = r.compile(f)
    f(leaf())
    x = leaf(-1.0)
    f(x)
    f(x)


@odd
def hooks_that_clip_and_note(r):
    notes = []

    def f(x, limit):
        h = x * 3
        if h.requires_grad:
            h.register_hook(lambda g: notes.append(float(g.sum())) or g.clamp(-limit, limit))
        return (h**2).sum()

    f = r.compile(f)
    f(grid(), 1.0)
    if r.way != "step":
        f(leaf(), 5.0)
        r.see(list(notes))
        f(leaf(), 7.0)
    r.see(notes)


class Watched(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.second(self.first(x).relu())


@odd
def hooks_before_behind_and_backward(r):
    torch.manual_seed(1)
    module, notes = Watched(), []
    handles = [
        module.first.register_forward_pre_hook(lambda m, args: (args[0] * 2,)),
        module.first.register_forward_hook(lambda m, args, out: notes.append(tuple(out.shape))),
        module.second.register_full_backward_hook(lambda m, gi, go: notes.append(len(go))),
        module.register_forward_hook(lambda m, args, kw, out: out + 1, with_kwargs=True),
    ]
    f = r.compile(module)
    f(grid())
    r.see(list(notes))
    handles[0].remove()
    f(grid())
    handles[2].remove()
    handles[3].remove()
    f(grid())
    r.see(notes)


@odd
def layers_are_frozen_and_thawed(r):
    torch.manual_seed(1)
    module = Watched()
    f = r.compile(module)
    for freeze in (False, True, False):
        module.first.requires_grad_(not freeze)
        module.first.train(not freeze)
        f(grid())
        r.see([p.requires_grad for p in module.parameters()], module.first.training, dict(module.state_dict()))


@odd
def slope_that_nobody_asks_for(r):
    def f(x, y):
        a = x.detach() * y
        b = x.data + 1
        c = (x > 2).float() * x
        return a.sum() + b.sum(), c, x.grad is None

    f = r.compile(f)
    f(grid(), grid())
    if r.way != "step":
        f(leaf(), grid())
        f(grid(), leaf())
        f(leaf(), leaf())


@odd
def jacobian_by_torch_autograd(r):
    def f(x, k):
        with torch.enable_grad():
            jacobian = torch.autograd.functional.jacobian(lambda y: y**2 * k, x[0])
            value, product = torch.autograd.functional.vjp(lambda y: y.sin().sum(), x[1])
        return jacobian, value, product

    f = r.compile(f)
    f(grid(), 2.0)
    f(grid(), 3.0)


@odd
def per_sample_gradients(r):
    torch.manual_seed(2)
    module = nn.Linear(3, 1)

    def f(x):
        parameters = {k: v.detach() for k, v in module.named_parameters()}

        def loss(parameters, sample):
            return torch.func.functional_call(module, parameters, (sample,)).square().sum()

        return torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)

    f = r.compile(f)
    f(grid())
    with torch.no_grad():
        module.weight.mul_(2)
    f(grid())
    f(torch.ones(4, 3))


@odd
def errors_of_autograd_are_its_own(r):
    def f(x, how):
        y = x * 2
        if how == "scalar":
            y.backward()
        if how == "leaf":
            x.add_(1)
        if how == "twice":
            y.sum().backward()
            y.sum().backward()
        return y

    f = r.compile(f)
    f(grid(), "none")
    if r.way != "step":
        for how in ("scalar", "leaf", "twice", "none"):
            f(leaf(), how)


@odd
def gradient_is_checked_for_odd_values(r):
    def f(x):
        y = torch.where(x > 3, x.square(), torch.zeros_like(x))
        z = torch.nan_to_num(y / (x - 1))
        return y, z, torch.isfinite(y / (x - 1)).all()

    f = r.compile(f)
    f(grid())
    if r.way != "step":
        f(leaf())
        f(leaf(-1.0))
