"""``precision=`` at every door and rung, beside float64 and beside torch's own autocast."""

from __future__ import annotations

import copy
import itertools
import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tessera
from tests.contracts.against_eager import PIECES, WHOLE, momentum

pytestmark = pytest.mark.usefixtures("low_precision_products")

BF16_ERROR = 0.03  # of gradients, relative; rounding to 8 bits a few times in a row


class Attention(nn.Module):
    def __init__(self, dim, causal):
        super().__init__()
        self.qkv, self.out, self.causal = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), causal

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return x + self.out(attended.transpose(1, 2).flatten(2))


class Model(nn.Module):
    """Attention between an embedding and a head: tokens ``[batch, seq]`` -> ``[batch, 12]``."""

    def __init__(self, *layers, dim=32):
        super().__init__()
        self.tokens = nn.Embedding(20, dim)
        self.layers = nn.Sequential(*(layers or (nn.LayerNorm(dim), Attention(dim, causal=True))))
        self.head = nn.Linear(dim, 12)

    def forward(self, tokens):
        return self.head(self.layers(self.tokens(tokens)).mean(1))


class Branches(Model):
    """Dynamo cannot capture it whole."""

    def forward(self, tokens):
        scores = super().forward(tokens)
        while scores.detach().sum() < -1e9:
            scores = scores * 0.5
        return scores


class UnderAutocast(Model):
    def forward(self, tokens):
        with torch.autocast("cpu", torch.bfloat16):
            scores = super().forward(tokens)
        with torch.autocast("cpu", enabled=False):
            return scores.float() @ (self.head.weight @ self.head.weight.T)


def batch(draw=0, size=32, length=16):
    generator = torch.Generator().manual_seed(draw)
    tokens = torch.randint(20, (size, length), generator=generator)
    return tokens, torch.randint(12, (size,), generator=generator)


def gradients(run, module, data):
    """Of the cross-entropy, as one vector in float64."""
    module.zero_grad()
    tokens, labels = data
    F.cross_entropy(run(tokens).double(), labels).backward()
    return torch.cat([p.grad.flatten().double() for p in module.parameters() if p.grad is not None])


def step_gradients(module, data, precision, **options):
    """What a step of size 1 takes away from the parameters, and the step."""
    before = torch.cat([p.detach().flatten().double() for p in module.parameters() if p.requires_grad])
    step = tessera.train_step(
        module, "cross_entropy", torch.optim.SGD(module.parameters(), lr=1.0), precision=precision, **options
    )
    for _ in range(options.get("accumulate", 1)):
        step(*data)
    after = torch.cat([p.detach().flatten().double() for p in module.parameters() if p.requires_grad])
    return before - after, step


def relative(ours, exact):
    return float((ours - exact).detach().norm() / exact.detach().norm())


def exact_gradients(module, data):
    double = copy.deepcopy(module).double()
    return gradients(double, double, data)


def made(kind, *layers, seed=0):
    torch.manual_seed(seed)
    return kind(*layers)


def notes(report):
    return [note for compilation in report.compilations for note in compilation.notes]


@pytest.mark.parametrize(("kind", "rung"), [(Model, WHOLE), pytest.param(Branches, PIECES, marks=pytest.mark.slow)])
def test_a_step_has_the_gradients_of_float64(kind, rung):
    module = made(kind)
    exact = exact_gradients(module, batch())
    found, step = step_gradients(module, batch(), "bf16", clip_norm=1e9)
    assert step.report.rung.startswith(rung), str(step.report)
    assert 1e-5 < relative(found, exact) < BF16_ERROR
    assert "  11 products in bf16" in notes(step.report)
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_a_compiled_module_has_them_too_and_keeps_its_dtypes():
    module = made(Model)
    fast = tessera.compile(module, precision={"default": "bf16", "head": "fp32"})
    exact = exact_gradients(module, batch())
    assert 1e-5 < relative(gradients(fast, module, batch()), exact) < BF16_ERROR
    assert fast(batch()[0]).dtype is torch.float32
    kept = next(note for note in notes(fast.report) if "the rule for head" in note)
    assert kept.startswith("  3 products not: the rule for head; one is aten.addmm at ")
    again = copy.deepcopy(fast)
    assert relative(again(batch()[0]), module(batch()[0])) < BF16_ERROR


@pytest.mark.slow
def test_a_model_in_float64_is_left_alone():
    plain, asked = (step_gradients(made(Model).double(), batch(), precision)[0] for precision in ("fp32", "bf16"))
    assert torch.equal(plain, asked)


@pytest.mark.slow
def test_under_an_autocast_of_the_users_nothing_changes():
    (plain, _), (asked, step) = (
        step_gradients(made(UnderAutocast), batch(), precision) for precision in ("fp32", "bf16")
    )
    assert torch.equal(plain, asked)
    assert any("your own autocast decides" in note for note in notes(step.report))


def test_float16_scales_the_loss_and_an_overflow_leaves_the_update_out():
    module = made(Model)
    exact = exact_gradients(module, batch())
    found, step = step_gradients(module, batch(), "fp16", loss_scale="auto")
    assert step.loss_scale == 2.0**16
    assert relative(found, exact) < BF16_ERROR / 4
    with torch.no_grad():
        module.head.weight.mul_(1e5)
    before = [p.detach().clone() for p in module.parameters()]
    step(*batch())
    assert (step.skipped, step.loss_scale) == (1, 2.0**15)
    assert all(torch.equal(p, then) for p, then in zip(module.parameters(), before, strict=True))


@pytest.mark.slow
def test_fit_takes_it_and_trains():
    module = made(Model)
    history = tessera.fit(module, [batch(0)] * 40, precision="bf16", optimizer=momentum(module), progress=False)
    assert history.loss[-1] < history.loss[0]
    assert "products in bf16" in str(history.report)


def test_every_door_names_a_wrong_precision_and_a_wrong_layer():
    module = made(Model)
    doors = (
        lambda precision: tessera.train_step(module, "mse", momentum(module), precision=precision),
        lambda precision: tessera.fit(module, [batch()], precision=precision),
        lambda precision: tessera.compile(module, precision=precision),
    )
    for door, wrong in itertools.product(doors, ("float16", {"haed": "bf16"}, 16)):
        with pytest.raises(tessera.errors.SettingError, match="^precision"):
            door(wrong)


class Convolutions(nn.Module):
    """Tokens as a picture: ``[batch, seq, dim]`` -> the same."""

    def __init__(self, dim, draw):
        super().__init__()
        norm = draw.choice([nn.BatchNorm2d, nn.InstanceNorm2d, lambda wide: nn.GroupNorm(4, wide)])
        wide, groups = draw.choice([8, 16]), draw.choice([1, 4])
        self.inner = nn.Sequential(
            nn.Conv2d(1, wide, 3, padding=1, stride=draw.choice([1, 2])),
            norm(wide),
            draw.choice([nn.ReLU, nn.SiLU])(),
            nn.Conv2d(wide, wide, 3, padding=draw.choice([0, 1]), groups=groups, bias=draw.random() < 0.5),
            draw.choice([nn.MaxPool2d, nn.AvgPool2d])(2),
            nn.ConvTranspose2d(wide, 4, 2, stride=2),
            nn.AdaptiveAvgPool2d((4, dim // 4)),
        )

    def forward(self, x):
        return x + self.inner(x.unsqueeze(1)).flatten(2).mT.flatten(1).unflatten(1, (-1, x.shape[-1])).mean(1, True)


class Recurrent(nn.Module):
    def __init__(self, dim, kind):
        super().__init__()
        self.inner = kind(dim, dim, batch_first=True)

    def forward(self, x):
        return x + self.inner(x)[0]


def random_layer(draw, dim):
    return draw.choice(
        [
            lambda: Attention(dim, causal=draw.random() < 0.5),
            lambda: tessera.nn.TransformerBlock(dim, 2),
            lambda: nn.TransformerEncoderLayer(dim, 2, 2 * dim, dropout=0.0, batch_first=True),
            lambda: nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)),
            lambda: Convolutions(dim, draw),
            lambda: Recurrent(dim, draw.choice([nn.LSTM, nn.GRU])),
            lambda: nn.RMSNorm(dim),
        ]
    )()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_random_models_are_as_exact_as_under_autocast(seed):
    draw = random.Random(seed)
    module = made(Model, *(random_layer(draw, 32) for _ in range(draw.randint(1, 3))), seed=seed)
    data = batch(seed, length=draw.choice([7, 16]))
    exact = exact_gradients(module, data)
    under_autocast = copy.deepcopy(module)

    def forward(tokens):
        with torch.autocast("cpu", torch.bfloat16):
            return under_autocast(tokens)

    limit = max(BF16_ERROR, 2 * relative(gradients(forward, under_autocast, data), exact))
    found, step = step_gradients(copy.deepcopy(module), data, "bf16")
    assert relative(found, exact) < limit, str(step.report)
    assert not any("left out" in record.note for one in step.report.compilations for record in one.passes)
    compiled = copy.deepcopy(module)
    assert relative(gradients(tessera.compile(compiled, precision="bf16"), compiled, data), exact) < limit
