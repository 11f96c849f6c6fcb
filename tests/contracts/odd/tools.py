"""Tools of torch around a function: parametrizations, weights that are shared, sparse, complex, subclasses, modes."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from tests.contracts.odd.recorder import grid, odd


class Symmetric(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, weight):
        self.calls += 1
        return weight.triu() + weight.triu(1).t()

    def right_inverse(self, weight):
        return weight.triu()


@odd
def parametrized_cached_and_removed(r):
    torch.manual_seed(0)
    layer = nn.Linear(3, 3)
    symmetric = Symmetric()
    parametrize.register_parametrization(layer, "weight", symmetric)
    f = r.compile(lambda x: layer(x) + layer.weight.sum())
    f(grid())
    r.see(symmetric.calls > 0)
    layer.weight = torch.ones(3, 3)
    f(grid())
    with parametrize.cached():
        f(grid())
        f(grid())
    parametrize.remove_parametrizations(layer, "weight")
    f(grid())
    r.see(type(layer).__name__, sorted(layer.state_dict()))


@odd
def weight_norm_old_and_new(r):
    torch.manual_seed(0)
    old = nn.utils.spectral_norm(nn.Linear(3, 2))
    new = parametrizations.weight_norm(nn.Linear(3, 2))
    orthogonal = parametrizations.orthogonal(nn.Linear(3, 3))
    f = r.compile(lambda x: (old(x), new(orthogonal(x))))
    f(grid())
    with torch.no_grad():
        new.parametrizations.weight.original0.mul_(2)
    f(grid())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.blocks = nn.ModuleList([nn.Linear(3, 3)] * 2 + [nn.Identity()])
        self.by_name = nn.ModuleDict({"a": self.blocks[0]})

    def forward(self, index):
        x = self.embed(index)
        for name, block in [*enumerate(self.blocks), *self.by_name.items()]:
            x = block(x) + (0.1 if name == "a" else 0.0)
        return self.head(x)


@odd
def layers_that_are_one_layer(r):
    torch.manual_seed(0)
    module = Tied()
    f = r.compile(module)
    index = torch.tensor([[1, 2], [3, 4]])
    f(index)
    module.blocks.append(nn.ReLU())
    f(index)
    module.by_name["b"] = nn.Tanh()
    f(index)
    module.blocks[0] = nn.Identity()
    f(index)
    module.blocks = module.blocks[1:]
    f(index)
    module.head.weight = nn.Parameter(torch.ones(5, 3))
    f(index)
    r.see(len(list(module.parameters())), dict(module.state_dict()))


@odd
def sparse_in_and_out(r):
    def f(x, dense):
        s = x.to_sparse() if not x.is_sparse else x
        total = torch.sparse.mm(s, dense)
        return total, s.coalesce().indices(), s._nnz(), s.is_coalesced(), (s * 2).to_dense(), s.layout

    f = r.compile(f)
    f(grid(), torch.ones(3, 2))
    f(torch.eye(3)[:2].to_sparse(), torch.ones(3, 2))
    f(torch.zeros(2, 3), torch.ones(3, 2))


@odd
def complex_spectrum(r):
    def f(x, phase):
        z = torch.fft.rfft(x) * torch.exp(torch.tensor(phase))
        z = z * 2j + 1
        return z.abs(), torch.fft.irfft(z, n=x.shape[-1]), z.conj().is_conj(), torch.view_as_real(z), z.real.sum()

    f = r.compile(f)
    f(grid(), 1j)
    f(grid(), 0.5j)
    f(grid(), 1.0 + 0j)


class Named(torch.Tensor):
    """Carries a name, which its results get too."""

    log: list = []

    @staticmethod
    def __new__(cls, data, name):
        made = data.as_subclass(cls)
        made.label = name
        return made

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(result, Named):
            names = [a.label for a in args if isinstance(a, Named) and hasattr(a, "label")]
            result.label = "+".join(names) + f".{func.__name__}"
        return result


@odd
def subclass_that_carries_a_name(r):
    def f(x):
        y = x * 2
        z = y.relu() + x
        return z, getattr(z, "label", None), type(z).__name__, type(y.sum()).__name__

    f = r.compile(f)
    f(Named(grid(), "a"))
    f(Named(grid(), "b"))
    f(grid())


class Logged:
    """No tensor; operations with it are noted."""

    def __init__(self, value, log):
        self.value, self.log = value, log

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        logs = [a.log for a in args if isinstance(a, cls)]
        logs[0].append(func.__name__)
        plain = [a.value if isinstance(a, cls) else a for a in args]
        return cls(func(*plain, **(kwargs or {})), logs[0])


@odd
def object_that_stands_for_a_tensor(r):
    def f(x, log):
        held = Logged(x, log)
        y = torch.add(torch.relu(held), 1)
        return torch.sum(y).value, log

    f = r.compile(f)
    f(grid(), [])
    f(-grid(), ["before"])


@odd
def default_dtype_and_device_inside(r):
    def f(x, dtype):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            made = torch.ones(3) * 0.1
            scalar = torch.tensor(0.1)
        finally:
            torch.set_default_dtype(before)
        with torch.device("meta"):
            shape = torch.empty(4, 4)
        return x * made.to(x.dtype), made.dtype, scalar, shape.device.type, torch.ones(1).dtype

    f = r.compile(f)
    f(grid(), torch.float32)
    f(grid(), torch.float64)
    f(grid(), torch.float16)


@odd
def autocast_inside_autocast(r):
    weight = torch.ones(3, 3) * 0.1

    def f(x, low):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            a = x @ weight
            with torch.autocast("cpu", enabled=False):
                b = x @ weight
            with torch.autocast("cpu", torch.float16):
                c = torch.mm(x, weight)
            d = F.softmax(a, -1)
        return a, b, c, d, torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    f = r.compile(f)
    f(grid(), True)
    f(grid(), False)
    with torch.autocast("cpu", torch.bfloat16):
        f(grid(), True)


@odd
def flags_of_the_backend(r):
    def f(x):
        y = torch.zeros(3).index_add_(0, torch.tensor([0, 0, 2]), x[0])
        return y, torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()

    f = r.compile(f)
    f(grid())
    torch.use_deterministic_algorithms(True, warn_only=True)
    precision = torch.get_float32_matmul_precision()
    try:
        f(grid())
        torch.set_float32_matmul_precision("high")
        f(grid())
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision(precision)
    f(grid())


class Ema(nn.Module):
    """Keeps a moving average of itself, and copies itself where it runs."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("average", torch.zeros(3), persistent=False)
        self.register_buffer("steps", torch.tensor(0))
        self.shadow = None

    def forward(self, x):
        y = self.layer(x)
        if self.training:
            self.steps += 1
            self.average = self.average * 0.5 + y.detach().mean(0) * 0.5
            if self.steps == 2:
                self.shadow = copy.deepcopy(self.layer)
        else:
            y = y + self.average
        return y if self.shadow is None else y + self.shadow(x)


@odd
def average_of_itself(r):
    torch.manual_seed(0)
    module = Ema()
    f = r.compile(module)
    for _ in range(3):
        f(grid())
    r.see(module.average, module.steps, sorted(module.state_dict()))
    module.eval()
    f(grid())
    module.train()
    f(grid())
    r.see(module.average, module.steps, module.shadow)


@odd
def stochastic_depth_by_python_and_torch(r):
    torch.manual_seed(0)
    layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])

    def f(x, drop):
        used = []
        for index, layer in enumerate(layers):
            if torch.rand(()).item() < drop:
                continue
            used.append(index)
            x = F.dropout(layer(x), drop, training=True)
        return x, used

    f = r.compile(f)
    for drop in (0.0, 0.5, 0.5, 0.9):
        f(grid(), drop)


@odd
def vmap_with_random_and_errors(r):
    def f(x, how):
        return torch.vmap(lambda row: row + torch.rand(3), randomness=how)(x)

    f = r.compile(f)
    f(grid(), "different")
    f(grid(), "same")
    f(grid(), "error")


@odd
def tensors_as_text(r):
    def f(x):
        return (
            f"{x.sum():.2f}",
            str(x[0]),
            repr(x.shape),
            f"{x[0, 0].item():5.1f}|{x.dtype}",
            "%s" % x.size(0),
            str(x.device),
        )

    f = r.compile(f)
    f(grid())
    f(grid() * 1e6)
    torch.set_printoptions(precision=2, sci_mode=False)
    try:
        f(grid() / 3)
    finally:
        torch.set_printoptions(profile="default")
    f(grid() / 3)


class Cache(nn.Module):
    """Keys and values that grow with each call."""

    def __init__(self):
        super().__init__()
        self.keys: list = []
        self.position = 0

    def forward(self, x, reset=False):
        if reset:
            self.keys.clear()
            self.position = 0
        self.keys.append(x)
        self.position += x.shape[0]
        past = torch.cat(self.keys)
        return past.softmax(0)[-1:], self.position, len(self.keys)


@odd
def cache_that_grows(r):
    module = Cache()
    f = r.compile(module)
    f(grid())
    f(grid()[:1])
    f(grid(), reset=True)
    f(grid())
    r.see(module.keys, module.position)


@odd
def custom_operator_and_library(r):
    seen = []

    @torch.library.custom_op("odd_tools::noted", mutates_args=())
    def noted(x: torch.Tensor, k: float) -> torch.Tensor:
        seen.append(k)
        return x * k

    @noted.register_fake
    def _(x, k):
        return torch.empty_like(x)

    f = r.compile(lambda x, k: noted(x, k) + 1)
    f(grid(), 2.0)
    f(grid(), 3.0)
    r.see(seen)
