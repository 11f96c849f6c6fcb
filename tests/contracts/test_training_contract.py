"""Models that a whole-step capture must take: each trains as in eager PyTorch, to 1e-9 in fp64, as one Program."""

from __future__ import annotations

import collections
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.contracts.against_eager import (
    PIECES,
    Job,
    Written,
    adamw,
    assert_trains_like_eager,
    mlp,
    momentum,
    vectors,
    written,
)

F64 = torch.float64


def numbers(*shape, n=3, target=(4, 3)):
    """A maker of ``n`` batches ``([*shape], [*target])``, the same at every call."""

    def make():
        draw = torch.Generator().manual_seed(7)
        return [
            (torch.randn(*shape, generator=draw, dtype=F64), torch.randn(*target, generator=draw, dtype=F64))
            for _ in range(n)
        ]

    return make


def tokens(*shape, n=3, classes=11, target=(4, 3)):
    def make():
        draw = torch.Generator().manual_seed(7)
        return [
            (torch.randint(0, classes, shape, generator=draw), torch.randn(*target, generator=draw, dtype=F64))
            for _ in range(n)
        ]

    return make


# -- layers ----------------------------------------------------------------------------------------------------------


def _pooled(net):
    return nn.Sequential(net, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def _weight_norm():
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Tanh(), nn.Linear(4, 3))


def _old_weight_norm():
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(5, 4)), nn.Tanh(), nn.Linear(4, 3))


def _spectral_norm():
    return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4)), nn.Tanh(), nn.Linear(4, 3))


def _last_state(cell, **options):
    def forward(module, x):
        return module.head(module.recurrent(x)[0][:, -1])

    def make():
        return Written(forward, recurrent=cell(4, 3, batch_first=True, **options), head=nn.Linear(3, 3))

    return make


def _attention(module, x):
    q, k, v = module.qkv(x).view(4, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return module.head(mixed.transpose(1, 2).reshape(4, 5, 8).mean(1))


LAYERS = [
    Job(name="linear and tanh", compilations=1),
    Job(
        name="batch norm", module=lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    ),
    Job(name="group norm", module=lambda: nn.Sequential(nn.Linear(5, 4), nn.GroupNorm(2, 4), nn.Linear(4, 3))),
    Job(name="layer norm", module=lambda: nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 3))),
    Job(
        name="convolutions and pooling",
        module=lambda: _pooled(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))),
        batches=numbers(4, 2, 8, 8),
    ),
    Job(
        name="transposed convolution",
        module=lambda: _pooled(nn.Sequential(nn.ConvTranspose2d(2, 4, 3, stride=2), nn.SiLU(), nn.AvgPool2d(2))),
        batches=numbers(4, 2, 4, 4),
    ),
    Job(name="weight norm", module=_weight_norm),
    Job(name="weight norm by hooks", module=_old_weight_norm),
    Job(name="spectral norm", module=_spectral_norm),
    Job(name="LSTM", module=_last_state(nn.LSTM), batches=numbers(4, 2, 4)),
    Job(
        name="LSTM in float32",
        module=_last_state(nn.LSTM),
        batches=lambda: [(x.float(), y.float()) for x, y in numbers(4, 2, 4)()],
        double=False,
        tolerance=1e-5,
    ),
    Job(name="GRU", module=_last_state(nn.GRU), batches=numbers(4, 2, 4)),
    Job(name="RNN", module=_last_state(nn.RNN), batches=numbers(4, 2, 4)),
    Job(
        name="embedding",
        module=lambda: nn.Sequential(nn.Embedding(11, 5, padding_idx=0), nn.Flatten(), nn.Linear(10, 3)),
        batches=tokens(4, 2),
    ),
    Job(
        name="embedding bag",
        module=lambda: nn.Sequential(nn.EmbeddingBag(11, 5, mode="mean"), nn.Linear(5, 3)),
        batches=tokens(4, 2),
    ),
    Job(
        name="attention",
        module=lambda: Written(_attention, qkv=nn.Linear(6, 24), head=nn.Linear(8, 3)),
        batches=numbers(4, 5, 6),
    ),
    Job(
        name="multi-head attention",
        optimizer=momentum,
        module=lambda: Written(
            lambda m, x: m.head(m.attention(x, x, x)[0].mean(1)),
            attention=nn.MultiheadAttention(6, 2, batch_first=True),
            head=nn.Linear(6, 3),
        ),
        batches=numbers(4, 2, 6),
    ),
    Job(
        name="transformer encoder layer",
        optimizer=momentum,
        module=lambda: Written(
            lambda m, x: m.head(m.block(x).mean(1)),
            block=nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.1),
            head=nn.Linear(4, 3),
        ),
        batches=numbers(4, 2, 4),
    ),
]


# -- random numbers: those that eager draws --------------------------------------------------------------------------


def _many_draws(module, x):
    a, b = F.dropout(module.layer(x), 0.3), F.dropout(module.other(x).t(), 0.5).t()
    noise = torch.randn(3, dtype=x.dtype) * torch.rand_like(a) + torch.empty_like(a).uniform_(-1, 1)
    return F.rrelu(a + b * noise, training=True) * torch.bernoulli(torch.full_like(a, 0.7))


def _mixup(module, x):
    order = torch.randperm(x.shape[0])
    return module.layer(0.7 * x + 0.3 * x[order])


RANDOM = [
    Job(name="dropout", module=lambda: nn.Sequential(nn.Linear(5, 7), nn.Dropout(0.4), nn.Linear(7, 3))),
    Job(name="many random draws", module=written(_many_draws, other=lambda: nn.Linear(5, 3))),
    Job(name="random permutation", module=written(_mixup)),
    Job(
        name="dropout between layers of an LSTM",
        module=_last_state(nn.LSTM, num_layers=2, dropout=0.5),
        batches=numbers(4, 2, 4),
        rung="",  # whichever: the decomposition of torch leaves the dropout out
    ),
]


# -- Python and modules ----------------------------------------------------------------------------------------------


class _Doubled(torch.autograd.Function):
    """Its backward is not the derivative of its forward, so whoever differentiates the forward is found out."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * x.exp() * 0.5


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.round()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return gradient


@dataclasses.dataclass
class _Output:
    logits: torch.Tensor
    extra: object = None


class _ModelOutput(collections.OrderedDict):
    """In the manner of Hugging Face: entries are attributes."""

    def __getattr__(self, name):
        return self[name]


_Pair = collections.namedtuple("_Pair", "first second")


def _ema(module, x):
    y = module.layer(x)
    with torch.no_grad():
        module.mean.mul_(0.9).add_(y.mean(0), alpha=0.1)
    return y - module.mean


def _counted(module, x):
    module.steps += 1
    module.mean = 0.9 * module.mean + 0.1 * x.mean(0).detach()[:3]
    return module.layer(x) / module.steps - module.mean


class _Buffers(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self._forward, self.layer = forward, nn.Linear(5, 3)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("steps", torch.zeros(()), persistent=False)

    def forward(self, x):
        return self._forward(self, x)


class _Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 4), nn.Linear(4, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(torch.tanh(self.embedding(x))).mean(1)[:, :3]


def _checkpointed(reentrant):
    def inner(module, x):
        return torch.tanh(F.dropout(module.other(x), 0.3))

    def forward(module, x):
        x = torch.sin(module.first(x))
        return module.layer(checkpoint(inner, module, x, use_reentrant=reentrant))

    return written(forward, first=lambda: nn.Linear(5, 5), other=lambda: nn.Linear(5, 5))


def _frozen():
    net = mlp()
    net[0].weight.requires_grad_(False)
    return net


def _in_place(module, x):
    y = module.layer(x)
    y[:, 0] = y[:, 1] * 2
    y.view(-1)[3:].mul_(0.5)
    z = y.clone().sigmoid_().add(1)
    z += y.t().contiguous().t()
    return z.unsqueeze(0).squeeze(0)


def _loop(module, x):
    for layer in module.layers:
        x = torch.relu(layer(x)) + x
    for scale in module.scales:
        x = x * scale
    return module.layer(x)


def _options(module, x, *, scale=1.0, mask=None, **rest):
    y = module.layer(x) * scale
    y = y if mask is None else y * mask
    return y + sum(rest.values())


def _clamped(module, x):
    with torch.no_grad():
        module.layer.weight.clamp_(-0.2, 0.2)
    return module.layer(x)


def _unused_gradient(module, x):
    return module.layer(x) + module.other.weight.detach().sum()


def _shared():
    block = nn.Linear(5, 5)
    return nn.Sequential(block, nn.Tanh(), block, nn.Tanh(), nn.Linear(5, 3))


PYTHON = [
    Job(name="module called twice", module=written(lambda m, x: m.layer(x) + m.layer(x * 2).tanh())),
    Job(name="shared submodule", module=_shared),
    Job(name="tied weights", module=_Tied, batches=tokens(4, 2)),
    Job(name="unused parameters", module=written(lambda m, x: m.layer(x), other=lambda: nn.Linear(2, 2))),
    Job(name="parameter without gradient", module=written(_unused_gradient, other=lambda: nn.Linear(5, 3))),
    Job(name="frozen parameter", module=_frozen),
    Job(name="EMA buffer under no_grad", module=lambda: _Buffers(_ema)),
    Job(name="buffers rebound and counted", module=lambda: _Buffers(_counted)),
    Job(name="weight edited by the forward", module=written(_clamped)),
    Job(
        name="embedding with max_norm",
        module=lambda: nn.Sequential(nn.Embedding(11, 5, max_norm=0.5), nn.Flatten(), nn.Linear(10, 3)),
        batches=tokens(4, 2),
    ),
    Job(name="custom autograd Function", module=written(lambda m, x: _Doubled.apply(m.layer(x) * 0.1))),
    Job(name="straight-through estimator", module=written(lambda m, x: _StraightThrough.apply(m.layer(x) * 3))),
    Job(name="checkpoint", module=_checkpointed(reentrant=False)),
    Job(name="checkpoint, reentrant", module=_checkpointed(reentrant=True)),
    Job(
        name="dict output",
        module=written(lambda m, x: {"y": m.layer(x), "n": 3}),
        loss=lambda out, y: F.mse_loss(out["y"], y) * out["n"],
    ),
    Job(
        name="dataclass output",
        module=written(lambda m, x: _Output(m.layer(x), {"k": [x]})),
        loss=lambda out, y: F.mse_loss(out.logits, y) + out.extra["k"][0].mean(),
    ),
    Job(
        name="namedtuple output",
        module=written(lambda m, x: _Pair(m.layer(x), m.layer(-x))),
        loss=lambda out, y: F.mse_loss(out.first, y) + F.l1_loss(out.second, y),
    ),
    Job(
        name="ModelOutput with its own loss",
        module=written(lambda m, x, y: _ModelOutput(loss=F.mse_loss(m.layer(x), y), logits=m.layer(x))),
        loss=None,
    ),
    Job(name="in-place operations and views", module=written(_in_place)),
    Job(
        name="module and parameter lists in loops",
        module=written(
            _loop,
            layers=lambda: nn.ModuleList([nn.Linear(5, 5) for _ in range(2)]),
            scales=lambda: nn.ParameterList([nn.Parameter(torch.ones(5)) for _ in range(2)]),
        ),
    ),
    Job(
        name="scalar parameters",
        module=written(
            lambda m, x: m.layer(x) * m.scale.exp() + m.shift,
            scale=lambda: nn.Parameter(torch.tensor(0.1)),
            shift=lambda: nn.Parameter(torch.ones(1)),
        ),
    ),
    Job(
        name="keyword inputs",
        module=written(_options),
        named={"scale": 2.0, "mask": torch.tensor([1.0, 0.0, 1.0], dtype=F64), "shift": torch.ones(3, dtype=F64)},
    ),
    Job(
        name="several inputs, integer and bool",
        module=lambda: Written(
            lambda m, i, mask: m.head(m.embedding(i).masked_fill(~mask[..., None], 0.0).mean(1)),
            embedding=nn.Embedding(11, 5),
            head=nn.Linear(5, 3),
        ),
        batches=lambda: [(x, x > 3, y) for x, y in tokens(4, 2)()],
    ),
    Job(name="loss of shape [1]", loss=lambda p, y: F.mse_loss(p, y).view(1)),
    Job(
        name="complex numbers inside", module=written(lambda m, x: m.layer(torch.fft.irfft(torch.fft.rfft(x) * 2, n=5)))
    ),
    Job(
        name="complex parameter",
        module=written(
            lambda m, x: m.layer((x * m.phase).abs()),
            phase=lambda: nn.Parameter(torch.full((5,), 0.5 + 0.2j, dtype=torch.complex128)),
        ),
        rung="",
    ),
    Job(
        name="sparse embedding gradient",
        module=lambda: nn.Sequential(nn.Embedding(11, 5, sparse=True), nn.Flatten(), nn.Linear(10, 3)),
        batches=tokens(4, 2),
        optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1),
        clip_norm=None,
        rung="",
    ),
    Job(
        name="hidden state kept on the module",
        module=written(lambda m, x: _remember(m, m.layer(x) + m.state), state=lambda: torch.zeros(3, dtype=F64)),
    ),
]


def _remember(module, y):
    module.state = y.detach()[0]
    return y


# -- lower rungs that must be right all the same ---------------------------------------------------------------------


def _penalty(module, x, y):
    x = x.clone().requires_grad_()
    prediction = module.layer(x.tanh())
    (slope,) = torch.autograd.grad(prediction.pow(2).sum(), x, create_graph=True)
    return F.mse_loss(prediction, y) + (slope.norm(dim=1) - 1).pow(2).mean()


def _penalty_beside_a_break(module, x, y):
    module.seen.append(module.layer(x).sum().item())
    if module.seen[-1] > 1e9:
        return x.sum()
    return _penalty(module, x, y)


LOWER = [
    Job(name="gradient penalty", module=written(_penalty), loss=None, rung=""),
    Job(name="gradient penalty beside a break", module=written(_penalty_beside_a_break), loss=None, rung=""),
    Job(
        name="packed sequences",
        module=lambda: Written(
            lambda m, x: m.recurrent(
                nn.utils.rnn.pack_padded_sequence(x, torch.tensor([3, 2, 1, 1]), batch_first=True)
            )[1][0],
            recurrent=nn.GRU(4, 3, batch_first=True),
        ),
        batches=numbers(4, 3, 4),
        rung=PIECES,
    ),
]


# -- optimizers' shape: several of them, groups ----------------------------------------------------------------------


GROUPS = [
    Job(
        name="two optimizers",
        optimizer=lambda m: [
            torch.optim.SGD(m[0].parameters(), lr=0.1, momentum=0.9),
            torch.optim.Adam(m[2].parameters(), lr=0.01),
        ],
        compilations=1,
    ),
    Job(
        name="a group without decay",
        optimizer=lambda m: torch.optim.AdamW(
            [
                {"params": [m[0].weight, m[2].weight]},
                {"params": [m[0].bias, m[2].bias], "weight_decay": 0.0, "lr": 0.05},
            ],
            lr=0.01,
            weight_decay=0.1,
        ),
        compilations=1,
    ),
    Job(name="some parameters in no optimizer", optimizer=lambda m: adamw(m[2])),
    Job(name="dynamic batch", batches=lambda: vectors(32, 32, 17, 32, 9, 17), compilations=2),
    Job(
        name="dynamic batch with batch norm",
        module=lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)),
        batches=lambda: vectors(8, 8, 5, 8, 6),
        compilations=2,
    ),
]


@pytest.mark.parametrize("job", [*LAYERS, *RANDOM, *PYTHON, *LOWER, *GROUPS], ids=str)
def test_trains_as_eager_does(job):
    assert_trains_like_eager(job)
