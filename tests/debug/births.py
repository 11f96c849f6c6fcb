"""Programs that bear NaN or infinity. The line that does so, or whose backward does, ends in ``# born``."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import tessera

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


def weight(*values):
    return torch.tensor(values, requires_grad=True)


# -- in a forward ----------------------------------------------------------------------------------------------------


@program
def log_of_zero():
    p = torch.softmax(torch.tensor([0.0, -200.0]), 0)
    return -(p * torch.log(p)).sum()  # born


@program
def log_of_negative():
    x = torch.linspace(-1, 1, 5)
    y = x * 2
    return y.log().mean()  # born


@program
def division_by_zero():
    x = torch.ones(4)
    total = x - x
    return x / total  # born


@program
def zero_by_zero():
    x = torch.zeros(4)
    return x / x.sum()  # born


@program
def division_of_a_number():
    return 1.0 / torch.tensor([1.0, 0.0])  # born


@program
def exp_overflows():
    logits = torch.tensor([1.0, 100.0])
    e = torch.exp(logits)  # born
    return e / e.sum()


@program
def exp_overflows_beside_a_mask():
    x = torch.tensor([1.0, 100.0, 3.0]).masked_fill(torch.tensor([True, False, False]), float("-inf"))
    return torch.exp(x)  # born


@program
def sqrt_of_negative():
    x = torch.tensor([1.0, 2.0, 3.0])
    variance = (x * x).mean() - x.mean() ** 2 - 1.0
    return variance.sqrt()  # born


@program
def softmax_of_a_masked_row():
    scores = torch.zeros(2, 3).masked_fill(torch.tensor([[True] * 3, [False] * 3]), float("-inf"))
    return torch.softmax(scores, -1)  # born


@program
def softmax_by_hand_of_a_masked_row():
    scores = torch.full((2, 3), float("-inf"))
    top = scores.amax(-1, keepdim=True)
    return (scores - top).exp()  # born


@program
def mask_by_product():
    mask = torch.tensor([0.0, 1.0])
    return mask * float("-inf")  # born


@program
def inf_minus_inf():
    a = torch.full((3,), float("inf"))
    b = a.clone()
    return a - b  # born


@program
def float16_product_overflows():
    q = torch.full((4, 64), 60.0, dtype=torch.float16)
    return q @ (q.T * 60)  # born


@program
def float16_cast_overflows():
    x = torch.tensor([1e5, 1.0])
    return x.half()  # born


@program
def float16_sum_overflows():
    x = torch.full((1000,), 100.0, dtype=torch.float16)
    return x.sum()  # born


@program
def square_overflows():
    x = torch.tensor([1e25])
    return x.pow(2).sum().sqrt()  # born


@program
def norm_by_hand_overflows():
    x = torch.tensor([1e20, 1e20])
    return (x * x).sum()  # born


@program
def matmul_overflows():
    a = torch.full((8, 8), 1e20)
    return torch.relu(a @ a)  # born


@program
def std_of_one():
    x = torch.ones(1, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (x - x.mean(0)) / x.std(0)  # born


@program
def mean_of_nothing():
    x = torch.ones(4)
    return x[x > 2].mean()  # born


@program
def acos_by_rounding():
    x = torch.tensor([1.0000001])
    return torch.acos(x)  # born


@program
def logit_of_one():
    p = torch.sigmoid(torch.tensor([50.0]))
    return torch.logit(p)  # born


@program
def atanh_of_one():
    y = torch.tanh(torch.tensor([30.0]))
    return torch.atanh(y)  # born


@program
def negative_power_of_zero():
    degree = torch.tensor([0.0, 2.0])
    return degree.pow(-0.5)  # born


@program
def fraction_power_of_negative():
    return torch.tensor([-8.0]) ** (1 / 3)  # born


@program
def rsqrt_of_zero():
    x = torch.zeros(3)
    return x * torch.rsqrt(x.square().mean())  # born


@program
def prod_overflows():
    return torch.full((64,), 1e3).prod()  # born


@program
def cumprod_overflows():
    return torch.full((64,), 1e3).cumprod(0)  # born


@program
def in_place_division():
    x = torch.ones(3)
    x.div_(torch.zeros(3))  # born
    return x


@program
def in_place_on_a_view():
    x = torch.ones(3, 3)
    row = x[1]
    row.sub_(1).log_()  # born
    return x


@program
def with_out():
    out = torch.empty(3)
    torch.log(torch.zeros(3), out=out)  # born
    return out


@program
def complex_division():
    z = torch.zeros(2, dtype=torch.complex64)
    return z / z  # born


@program
def inverse_of_singular():
    x = torch.ones(2)
    return torch.linalg.vector_norm(x - x).reciprocal()  # born


@program
def weights_of_counts():
    counts = torch.bincount(torch.tensor([0, 2, 2]))
    weights = 1.0 / counts  # born
    return (weights * torch.randn(3)).sum()


@program
def counts_that_nobody_looks_at():
    counts = torch.tensor([0, 1]).float()
    return counts.log()  # born


@program
def kl_of_zero():
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
    return (p * (p / q).log()).sum()  # born


@program
def cosine_by_hand():
    a, b = torch.zeros(3), torch.ones(3)
    return (a @ b) / (a.norm() * b.norm())  # born


@program
def cross_entropy_from_probabilities():
    p = torch.tensor([[1.0, 0.0]])
    picked = p.gather(1, torch.tensor([[1]]))
    return -torch.log(picked).mean()  # born


@program
def under_no_grad():
    with torch.no_grad():
        return torch.zeros(2).log()  # born


@program
def under_inference_mode():
    with torch.inference_mode():
        return torch.zeros(2).log()  # born


@program
def under_autocast():
    layer = nn.Linear(4, 4)
    with torch.autocast("cpu", dtype=torch.float16):
        return layer(torch.full((2, 4), 1e5))  # born


@program
def in_a_library_function():
    x = torch.zeros(1, 3)
    return F.normalize(x, eps=0.0)  # born


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)

    def forward(self, x):
        h = self.lin(x)
        gate = torch.log(h - h)  # born
        return h * gate


@program
def in_a_layer():
    model = nn.Sequential(nn.Linear(4, 4), Block())
    return model(torch.ones(2, 4))


@program
def in_a_compiled_function():
    @tessera.compile
    def f(x):
        y = x * 0
        return 1 / y  # born

    return f(torch.ones(3))


@program
def in_a_nested_compiled_function():
    @tessera.compile
    def inner(x):
        return x.log()  # born

    @tessera.compile
    def outer(x):
        return inner(x - x) + 1

    return outer(torch.ones(3))


@program
def in_a_buffer():
    class Running(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.full((3,), 3e38))

        def forward(self, x):
            self.mean.mul_(2.0)  # born
            return x + self.mean

    return Running()(torch.ones(3))


@program
def in_the_statistics_of_a_batch_norm():
    norm = nn.BatchNorm1d(2)
    x = torch.tensor([[1e20, 0.0], [-1e20, 0.0]])
    return norm(x)  # born


@program
def in_a_hook():
    w = torch.ones(2, requires_grad=True)
    w.register_hook(lambda g: g / (g - g))  # born
    (w * 2).sum().backward()


@program
def slope_of_equal_singular_values():
    a = torch.eye(3, requires_grad=True)
    u, _, _ = torch.linalg.svd(a)  # born
    u.sum().backward()


@program
def in_a_checkpointed_block():
    x = torch.zeros(3, requires_grad=True)
    return checkpoint(lambda v: (v * 1).log().sum(), x, use_reentrant=False)  # born


@program
def in_a_vmapped_function():
    return torch.vmap(lambda v: v / v.sum())(torch.zeros(2, 3))  # born


@program
def in_a_loop():
    x = torch.tensor([10.0])
    for _ in range(10):
        x = x * x  # born
    return x


@program
def in_an_old_style_function():
    class Inverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 1 / x  # born

        @staticmethod
        def backward(ctx, g):
            return g

    return Inverse.apply(torch.zeros(2, requires_grad=True))


@program
def layer_norm_without_eps():
    x = torch.ones(2, 4)
    return F.layer_norm(x, (4,), eps=0.0)  # born


@program
def log_softmax_then_product():
    scores = torch.tensor([[0.0, float("-inf")]])
    logs = torch.log_softmax(scores, -1)
    return (logs.exp() * logs).sum()  # born


@program
def sum_of_sparse():
    a = torch.eye(2).to_sparse()
    return (a.coalesce().values() - 1).log()  # born


# -- in a backward ---------------------------------------------------------------------------------------------------


@program
def slope_of_the_root():
    w = weight(0.0, 1.0)
    loss = torch.sqrt(w).sum()  # born
    loss.backward()


@program
def slope_of_a_norm_by_hand():
    w = weight(0.0, 0.0)
    distance = (w * w).sum().sqrt()  # born
    (distance * 2).backward()


@program
def where_trap_of_a_division():
    w = weight(0.0, 2.0)
    safe = torch.where(w == 0, torch.zeros_like(w), w)
    y = torch.where(safe != 0, safe.square().sqrt(), safe)  # born
    y.sum().backward()


@program
def where_trap_of_a_power():
    w = weight(0.0, 4.0)
    root = w.pow(0.5)  # born
    y = torch.where(w > 0, root, torch.zeros(2))
    y.sum().backward()


@program
def slope_of_acos():
    w = weight(1.0)
    angle = torch.acos(w)  # born
    angle.backward()


@program
def slope_of_std():
    w = weight(2.0, 2.0)
    spread = w.var().sqrt()  # born
    spread.backward()


@program
def slope_of_asin_by_grad():
    w = weight(1.0)
    y = w * 1
    angle = torch.asin(y)  # born
    torch.autograd.grad(angle.sum(), [w])


@program
def gradient_overflows():
    w = weight(1.0)
    y = w * 1e-30
    z = y * 1e30  # born
    (z * 1e20).backward()


@program
def gradient_of_a_compiled_function():
    @tessera.compile
    def f(x):
        y = x * 1
        return y.sqrt().sum()  # born

    f(weight(0.0)).backward()


@program
def gradient_in_a_checkpointed_block():
    w = weight(0.0)

    def block(v):
        u = v * 1
        return u.sqrt()  # born

    checkpoint(block, w, use_reentrant=False).sum().backward()


@program
def gradient_of_a_layer():
    class Distance(nn.Module):
        def forward(self, x):
            return x.square().sum(-1).sqrt()  # born

    model = nn.Sequential(nn.Linear(2, 2, bias=False), Distance())
    nn.init.zeros_(model[0].weight)
    model(torch.ones(3, 2)).mean().backward()


@program
def gradient_in_a_custom_backward():
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g / (g - g)  # born

    Bad.apply(weight(1.0)).sum().backward()


@program
def second_derivative():
    w = weight(0.0)
    y = w.abs().pow(1.5)  # born
    (slope,) = torch.autograd.grad(y.sum(), w, create_graph=True)
    slope.sum().backward()


@program
def gradient_in_a_reentrant_checkpoint():
    w = weight(0.0)

    def block(v):
        u = v * 1
        return u.sqrt()  # born

    checkpoint(block, w, use_reentrant=True).sum().backward()


@program
def gradient_by_func():
    def f(v):
        return v.sqrt().sum()  # born

    torch.func.grad(f)(torch.zeros(2))


# -- in a training step ----------------------------------------------------------------------------------------------


@program
def a_step_in_its_forward():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(2, 1)

        def forward(self, x):
            return (self.lin(x) * 0).log()  # born

    net = Net()
    step = tessera.train_step(net, "mse", torch.optim.SGD(net.parameters(), lr=0.1))
    step(torch.ones(4, 2), torch.ones(4, 1))


@program
def a_step_in_its_backward():
    net = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(net.weight)

    def loss(y, t):
        return (y - t).square().sum().sqrt()  # born

    step = tessera.train_step(net, loss, tessera.optim.Adam(net, lr=0.1))
    step(torch.ones(4, 2), torch.zeros(4, 1))


@program
def an_update():
    w = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([w], lr=1e30, foreach=False)
    (w * 1e20).sum().backward()
    optimizer.step()  # born
