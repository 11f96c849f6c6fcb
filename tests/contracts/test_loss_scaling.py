"""Loss scaling inside the step, against `torch.amp.GradScaler` around eager PyTorch, step for step."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tessera
from tessera.capture.loss_scale import LossScale
from tessera.errors import NonFiniteError
from tests.contracts.against_eager import PIECES, WHOLE, adamw, momentum

F64 = torch.float64


class Stranger(torch.optim.AdamW):
    """Its update is never part of a Program: the step comes down to pieces."""


def stranger(module):
    return Stranger(module.parameters(), lr=1e-2, weight_decay=0.1)


def several(module):
    weights = [p for p in module.parameters() if p.dim() > 1]
    others = [p for p in module.parameters() if p.dim() < 2]
    return [torch.optim.AdamW(weights, lr=1e-2), torch.optim.SGD(others, lr=0.05, momentum=0.9)]


class Autocast(nn.Module):
    """A module whose matrix products run in float16."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        with torch.autocast("cpu", torch.float16):
            return self.inner(x).float()


class Branches(nn.Module):
    """A module that Dynamo cannot capture whole."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        y = self.inner(x)
        while y.detach().sum() < -1e9:
            y = y * 0.5
        return y


def random_model(draw):
    """Some layers of random kinds and sizes, from 5 numbers to 3."""
    layers, width = [], 5
    for _ in range(draw.randint(1, 3)):
        wide = draw.randint(3, 9)
        # No bias before a norm: its true gradient is 0, and Adam turns rounding into steps.
        norm = draw.choice([nn.BatchNorm1d, nn.LayerNorm, nn.Identity])(width)
        layers += [norm, nn.Linear(width, wide), draw.choice([nn.Tanh, nn.GELU])()]
        width = wide
    return nn.Sequential(*layers, nn.Linear(width, 3))


@dataclass
class Trained:
    """What a run left behind."""

    losses: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    skipped: int = 0
    report: object = None


def batches(steps, overflows, dtype):
    """Batches of 8; those at ``overflows`` have a gradient that is infinite and a loss that is as well."""
    draw = torch.Generator().manual_seed(3)
    made = []
    for step in range(steps):
        x, y = torch.randn(8, 5, generator=draw, dtype=dtype), torch.randn(8, 3, generator=draw, dtype=dtype)
        made.append((x, torch.full_like(y, float("inf")) if step in overflows else y))
    return made


def with_grad_scaler(module, make, rule, data, *, accumulate=1, clip_norm=None):
    """The recipe of PyTorch's documentation."""
    made = make(module)
    optimizers = made if isinstance(made, list) else [made]
    scaler = torch.amp.GradScaler(
        "cpu",
        init_scale=rule.initial,
        growth_factor=rule.growth,
        backoff_factor=rule.backoff,
        growth_interval=rule.interval,
    )
    out = Trained()
    for step, (x, y) in enumerate(data):
        loss = F.mse_loss(module(x), y)
        scaler.scale(loss / accumulate).backward()
        out.losses.append(loss.item())
        if (step + 1) % accumulate == 0:
            for optimizer in optimizers:
                scaler.unscale_(optimizer)
            found = [p.grad for p in module.parameters() if p.grad is not None]
            bad = not all(bool(torch.isfinite(g).all()) for g in found)
            out.skipped += bad
            if clip_norm is not None:
                nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
            for optimizer in optimizers if len(optimizers) == 1 or not bad else ():
                scaler.step(optimizer)
            scaler.update()
            for optimizer in optimizers:
                optimizer.zero_grad()
        out.scales.append(scaler.get_scale())
    return out, optimizers


def with_tessera(module, make, data, **options):
    optimizer = make(module)
    step = tessera.train_step(module, F.mse_loss, optimizer, **options)
    out = Trained(report=step.report)
    for batch in data:
        out.losses.append(float(step(*batch)))
        out.scales.append(step.loss_scale)
    out.skipped = step.skipped
    return out, optimizer if isinstance(optimizer, list) else [optimizer]


def assert_same(ours, theirs, module, twin, tolerance):
    (found, our_optimizers), (expected, their_optimizers) = ours, theirs
    close = {"rtol": tolerance, "atol": tolerance, "equal_nan": True}
    assert found.scales == expected.scales
    assert found.skipped == expected.skipped
    torch.testing.assert_close(found.losses, expected.losses, **close)
    torch.testing.assert_close(module.state_dict(), twin.state_dict(), **close)
    for one, other in zip(our_optimizers, their_optimizers, strict=True):
        torch.testing.assert_close(one.state_dict()["state"], other.state_dict()["state"], **close)


RULES = [LossScale(), LossScale(8.0, interval=3), LossScale(1000.0, 1.7, 0.3, 2), LossScale(2.0**127, interval=1)]


def run_both(seed, make, rung, *, steps=14, wrap=None, half=False, **options):
    draw = random.Random(seed)
    rule = draw.choice(RULES)
    torch.manual_seed(seed)
    module = random_model(draw)
    module = module if half else module.double()
    module = wrap(module) if wrap else module
    twin = copy.deepcopy(module)
    overflows = set(draw.sample(range(steps), draw.randint(0, 4)))
    data = batches(steps, overflows, torch.float32 if half else F64)
    theirs = with_grad_scaler(twin, make, rule, data, **options)
    ours = with_tessera(module, make, data, loss_scale=rule, **options)
    assert ours[0].report.rung.startswith(rung), str(ours[0].report)
    assert_same(ours, theirs, module, twin, 1e-2 if half else 1e-9)
    return ours[0]


SETTINGS = [
    ({}, momentum),
    ({}, adamw),
    ({"clip_norm": 0.3}, adamw),
    ({"accumulate": 2}, adamw),
    ({"accumulate": 3, "clip_norm": 0.3}, momentum),
    ({"clip_norm": 0.3}, several),
]


@pytest.mark.parametrize(("seed", "options", "make"), [(2, *SETTINGS[0]), (2, *SETTINGS[4])])
def test_one_program_is_grad_scaler(seed, options, make):
    result = run_both(seed, make, WHOLE, **options)
    programs = 2 if "accumulate" in options else 1  # a micro-batch in the middle, and the last
    assert len(result.report.compilations) == programs


@pytest.mark.parametrize("wrap", [None, Branches], ids=["stranger's update", "pieces"])
def test_the_lower_rungs_are_too(wrap):
    run_both(2, stranger, PIECES, wrap=wrap, accumulate=2, clip_norm=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [None, Branches], ids=["whole", "pieces"])
@pytest.mark.parametrize(("options", "make"), SETTINGS)
@pytest.mark.parametrize("seed", range(20, 23))
def test_random_models_and_overflows(seed, options, make, wrap):
    run_both(seed, make, PIECES if wrap else WHOLE, wrap=wrap, **options)


def test_autocast_is_scaled_by_itself():
    """float16 as autocast makes it: eager rounds where compiled code does not, so only the scales are equal."""
    result = run_both(2, momentum, WHOLE, wrap=Autocast, half=True, steps=8)
    assert len(result.report.compilations) == 1


def net(*, dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)


def sgd(module, lr=0.1):
    return torch.optim.SGD(module.parameters(), lr=lr)


@pytest.mark.parametrize("wrap", [Autocast, lambda inner: Branches(Autocast(inner))], ids=["whole", "pieces"])
def test_automatic_is_dynamic_where_gradients_pass_through_float16(wrap):
    module = wrap(net())
    step = tessera.train_step(module, F.mse_loss, sgd(module))
    assert (step.loss_scale, step.skipped) == (None, 0)
    good, bad = batches(2, {1}, torch.float32)
    step(*good)
    assert (step.loss_scale, step.skipped) == (65536.0, 0)
    step(*bad)
    assert (step.loss_scale, step.skipped) == (32768.0, 1)


def test_automatic_leaves_other_precisions_alone():
    module = net(dtype=torch.bfloat16)
    step = tessera.train_step(module, F.mse_loss, sgd(module))
    for x, y in batches(2, {1}, torch.bfloat16):
        step(x, y)
    assert (step.loss_scale, step.skipped) == (None, 0)
    assert not any(p.isfinite().all() for p in module.parameters())  # as plain PyTorch would leave it


@pytest.mark.parametrize(("make", "rung"), [(sgd, WHOLE), (lambda m: Stranger(m.parameters(), lr=0.1), PIECES)])
def test_small_gradients_of_a_module_in_half_survive(make, rung):
    """They are divided by the scale in float32 and clipped there, and only then rounded to float16."""

    def tiny(prediction, target):  # the gradients of a single element are below 6e-8
        return F.mse_loss(prediction.float(), target.float()) * 1e-7

    module, lost = net(dtype=torch.float16), net(dtype=torch.float16)
    exact = net(dtype=F64)
    ((x, y),) = batches(1, {}, torch.float16)
    tiny(exact(x.double()), y).backward()
    norm = nn.utils.clip_grad_norm_(exact.parameters(), 1e9)
    for each, scale in ((module, 2.0**20), (lost, None)):
        each.load_state_dict(exact.state_dict())
        step = tessera.train_step(each, tiny, make(each), clip_norm=1e-3, loss_scale=scale)
        step(x, y)
        assert step.report.rung.startswith(rung)
        error = abs(float(step.metrics["grad_norm"]) / float(norm) - 1)
        assert error < 0.01 if scale else error > 0.1


def test_a_step_with_an_overflow_changes_nothing_but_statistics_and_the_scale():
    module = Autocast(nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 3)))
    optimizer = torch.optim.Adam(module.parameters())
    step = tessera.train_step(module, F.mse_loss, optimizer)
    good, bad = batches(2, {1}, torch.float32)
    step(*good)
    weights, state = copy.deepcopy((dict(module.named_parameters()), optimizer.state_dict()))
    mean = module.inner[0].running_mean.clone()
    assert step(*bad) == float("inf")
    torch.testing.assert_close(
        (dict(module.named_parameters()), optimizer.state_dict()), (weights, state), rtol=0, atol=0
    )
    assert not torch.equal(module.inner[0].running_mean, mean)


def test_overflows_before_the_first_update_do_not_end_the_whole_step():
    """SGD makes its momentum in its first step, which these batches put off."""
    torch.manual_seed(0)
    module = nn.Linear(5, 3)
    step = tessera.train_step(module, F.mse_loss, momentum(module), loss_scale="dynamic")
    for batch in batches(7, {0, 1, 2, 3}, torch.float32):
        step(*batch)
    assert step.skipped == 4
    assert step.report.rung.startswith(WHOLE), str(step.report)


def test_a_number_is_kept_and_skips():
    module = net()
    before = copy.deepcopy(module.state_dict())
    step = tessera.train_step(module, F.mse_loss, sgd(module), loss_scale=1024.0)
    good, bad = batches(2, {1}, torch.float32)
    step(*bad)
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
    step(*good)
    assert (step.loss_scale, step.skipped) == (1024.0, 1)
    assert not torch.equal(module[0].weight, before["0.weight"])


def test_none_is_plain_even_in_half():
    module = net(dtype=torch.float16)
    step = tessera.train_step(module, F.mse_loss, sgd(module), loss_scale=None)
    for batch in batches(2, {1}, torch.float16):
        step(*batch)
    assert (step.loss_scale, step.skipped) == (None, 0)
    assert module[0].weight.isnan().any()


@pytest.mark.parametrize("wrap", [lambda inner: inner, Branches], ids=["whole", "pieces"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_checking_raises_only_below_a_scale_of_one(wrap, accumulate):
    module = wrap(net())
    rule = LossScale(4.0)
    step = tessera.train_step(
        module, F.mse_loss, sgd(module), loss_scale=rule, check_finite=True, accumulate=accumulate
    )
    good, bad = batches(2, {1}, torch.float32)
    for batch in [good] * accumulate:
        step(*batch)
    before = copy.deepcopy(module.state_dict())
    for scale in (2.0, 1.0, 0.5):
        for batch in [good] * (accumulate - 1) + [bad]:
            step(*batch)
        assert step.loss_scale == scale
    for batch in [good] * (accumulate - 1):
        step(*batch)
    with pytest.raises(NonFiniteError, match=r"became inf, and the loss scale has fallen to 0\.25 in vain\."):
        step(*bad)
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
    assert step.skipped == 4
    for batch in [good] * accumulate:  # and on it goes, with an update of its own
        step(*batch)
    key = next(iter(before))
    assert not torch.equal(module.state_dict()[key], before[key])


def test_checking_with_a_fixed_scale_raises_at_once():
    module = net()
    step = tessera.train_step(module, F.mse_loss, sgd(module), loss_scale=8.0, check_finite=True)
    good, bad = batches(2, {1}, torch.float32)
    step(*good)
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(NonFiniteError, match='a loss_scale="auto" in place of 8 adapts itself'):
        step(*bad)
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
    step(*good)


@pytest.mark.parametrize("check_finite", [pytest.param(False, marks=pytest.mark.slow), True])
def test_many_steps_in_one_call(check_finite):
    data = batches(9, {2, 3, 6}, torch.float32)
    x, y = (torch.stack(side) for side in zip(*data, strict=True))
    options = {"loss_scale": LossScale(4.0, interval=2), "clip_norm": 0.5, "check_finite": check_finite}
    module, twin = net(), net()
    one, _ = with_tessera(twin, sgd, data, **options)
    step = tessera.train_step(module, F.mse_loss, sgd(module), **options)
    first = step(x[0], y[0])
    losses = step.run(x[1:], y[1:])
    assert losses is not None
    torch.testing.assert_close([float(first), *losses.tolist()], one.losses, rtol=0, atol=0)
    assert (step.loss_scale, step.skipped) == (one.scales[-1], one.skipped)
    torch.testing.assert_close(module.state_dict(), twin.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("scale", [None, LossScale(1.0)])
def test_many_steps_in_one_call_stop_before_the_one_that_raises(scale):
    bad = {2, 3} if scale else {2}
    data = batches(6, bad, torch.float32)
    x, y = (torch.stack(side) for side in zip(*data, strict=True))
    module = net()
    step = tessera.train_step(module, F.mse_loss, sgd(module), loss_scale=scale, check_finite=True)
    step(x[0], y[0])
    losses = step.run(x[1:], y[1:])
    assert len(losses) == max(bad) - 1
    with pytest.raises(NonFiniteError):
        step(x[max(bad)], y[max(bad)])


class Climbing(torch.optim.SGD):
    """A stranger's SAM: two evaluations a step."""

    def step(self, closure):
        loss = closure()
        parameters = [p for group in self.param_groups for p in group["params"]]
        with torch.no_grad():
            moved = [p.grad * 0.05 for p in parameters]
            for p, way in zip(parameters, moved, strict=True):
                p.add_(way)
        closure()
        with torch.no_grad():
            for p, way in zip(parameters, moved, strict=True):
                p.sub_(way)
        super().step()
        return loss


def lbfgs(module):
    return torch.optim.LBFGS(module.parameters(), max_iter=3, line_search_fn="strong_wolfe")


@pytest.mark.parametrize(
    "make", [lambda m: Climbing(m.parameters(), lr=0.1), lbfgs, lambda m: tessera.optim.SAM(m, tessera.optim.sgd(0.1))]
)
def test_optimizers_that_evaluate_the_loss_themselves(make):
    """A power of two divides out exactly; an overflow takes the whole step back."""
    data = batches(6, {1, 4}, F64)
    scaled, plain = net(dtype=F64), net(dtype=F64)
    step = tessera.train_step(scaled, F.mse_loss, make(scaled), loss_scale=LossScale(64.0, interval=2))
    reference = tessera.train_step(plain, F.mse_loss, make(plain), loss_scale=None)
    for index, batch in enumerate(data):
        before = copy.deepcopy(scaled.state_dict())
        loss = step(*batch)
        if index in (1, 4):
            assert loss == float("inf")
            torch.testing.assert_close(scaled.state_dict(), before, rtol=0, atol=0)
        else:
            torch.testing.assert_close(loss, reference(*batch), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(scaled.state_dict(), plain.state_dict(), rtol=1e-9, atol=1e-9)
    assert (step.loss_scale, step.skipped) == (32.0, 2)


def test_an_overflow_halfway_through_a_step_takes_it_back():
    seen = []

    class SecondOverflows(Climbing):
        def step(self, closure):
            def watched():
                seen.append(1)
                return closure()

            return super().step(watched)

    def loss(prediction, target):
        value = F.mse_loss(prediction, target)
        return value * float("inf") if len(seen) == 4 else value

    module = net()
    optimizer = SecondOverflows(module.parameters(), lr=0.1, momentum=0.9)
    step = tessera.train_step(module, loss, optimizer, loss_scale="dynamic")
    ((x, y),) = batches(1, {}, torch.float32)
    step(x, y)
    before = copy.deepcopy((module.state_dict(), optimizer.state_dict()))
    step(x, y)
    torch.testing.assert_close((module.state_dict(), optimizer.state_dict()), before, rtol=0, atol=0)
    assert step.skipped == 1


class Switched(nn.Module):
    """Computes in float16 once somebody asks for it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.half = nn.Linear(5, 3), False

    def forward(self, x):
        with torch.autocast("cpu", torch.float16, enabled=self.half):
            return self.inner(x).float()


@pytest.mark.parametrize("make", [sgd, lambda m: Stranger(m.parameters(), lr=0.1)], ids=["whole", "pieces"])
def test_float16_that_comes_in_the_middle_of_an_update(make):
    """The sums of gradients that are there already are scaled too."""
    data = batches(4, {}, torch.float32)
    module, twin = Switched(), nn.Linear(5, 3)
    twin.load_state_dict(module.inner.state_dict())
    step = tessera.train_step(module, F.mse_loss, make(module), accumulate=4)
    for index, batch in enumerate(data):
        module.half = index == 2
        step(*batch)
        (F.mse_loss(twin(batch[0]), batch[1]) / 4).backward()
    make(twin).step()
    assert step.loss_scale == 65536.0
    torch.testing.assert_close(module.inner.state_dict(), twin.state_dict(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("make", [momentum, stranger], ids=["whole", "pieces"])
def test_a_snapshot_between_micro_batches_resumes_exactly(make):
    data = batches(9, {4}, torch.float32)
    options = {"accumulate": 3, "clip_norm": 0.5}

    def started():
        torch.manual_seed(0)
        module = Autocast(nn.Linear(5, 3))
        optimizer = make(module)
        return module, optimizer, tessera.train_step(module, F.mse_loss, optimizer, **options)

    module, optimizer, step = started()
    for batch in data[:5]:
        step(*batch)
    saved = copy.deepcopy((module.state_dict(), optimizer.state_dict(), step.state_dict()))
    expected = [float(step(*batch)) for batch in data[5:]]
    other, other_optimizer, resumed = started()
    for each, state in zip((other, other_optimizer, resumed), saved, strict=True):
        each.load_state_dict(state)
    assert [float(resumed(*batch)) for batch in data[5:]] == expected
    torch.testing.assert_close(other.state_dict(), module.state_dict(), rtol=0, atol=0)
    assert (resumed.loss_scale, resumed.skipped) == (step.loss_scale, step.skipped) == (32768.0, 1)
