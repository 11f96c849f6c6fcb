"""Schedules, Lion and chains side by side with Optax, in float64 on the CPU."""

import copy

import pytest
import torch

from tessera.optim import (
    Optimizer,
    accumulate,
    adadelta,
    adamw,
    add_decayed_weights,
    chain,
    clip_adaptively,
    clip_by_global_norm,
    clip_by_value,
    cosine_decay,
    cosine_restarts,
    exponential_decay,
    join,
    lamb,
    lars,
    linear,
    lion,
    lookahead,
    muon,
    partition,
    piecewise_constant,
    piecewise_linear,
    polynomial_decay,
    radam,
    rmsprop,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_rms,
    schedule_free_adamw,
    sgd,
    sharpness_aware,
    skip_if_not_finite,
    trace,
    warmup_cosine_decay,
)
from tests.optim.parity import Model, assert_same

pytestmark = pytest.mark.peers

SCHEDULES = {
    "linear": (linear(1.0, 0.2, 8, 3), lambda o: o.linear_schedule(1.0, 0.2, 8, 3)),
    "cosine": (cosine_decay(0.5, 10, 0.1, 1.5), lambda o: o.cosine_decay_schedule(0.5, 10, 0.1, 1.5)),
    "exponential": (
        exponential_decay(0.5, 4, 0.7, 2, end_value=0.1),
        lambda o: o.exponential_decay(0.5, 4, 0.7, 2, end_value=0.1),
    ),
    "stairs": (
        exponential_decay(0.5, 4, 1.7, 2, staircase=True, end_value=3.0),
        lambda o: o.exponential_decay(0.5, 4, 1.7, 2, staircase=True, end_value=3.0),
    ),
    "warm-up": (
        warmup_cosine_decay(0.1, 1.0, 5, 15, 0.2, 2.0),
        lambda o: o.warmup_cosine_decay_schedule(0.1, 1.0, 5, 15, 0.2, 2.0),
    ),
    "piecewise": (
        piecewise_constant(1.0, {4: 0.5, 12: 0.1}),
        lambda o: o.piecewise_constant_schedule(1.0, {4: 0.5, 12: 0.1}),
    ),
    "polynomial": (
        polynomial_decay(1.0, 0.2, 2.5, 10, 3),
        lambda o: o.polynomial_schedule(1.0, 0.2, 2.5, 10, 3),
    ),
    "restarts": (
        cosine_restarts(1.0, 5, 2),
        lambda o: o.sgdr_schedule(
            [{"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 0, "decay_steps": n} for n in (5, 10, 20)]
        ),
    ),
    "joined": (
        join([linear(0.0, 1.0, 5), cosine_decay(1.0, 10)], [7]),
        lambda o: o.join_schedules([o.linear_schedule(0.0, 1.0, 5), o.cosine_decay_schedule(1.0, 10)], [7]),
    ),
    "points": (
        piecewise_linear({0: 1.0, 5: 0.5, 15: 2.0}),
        lambda o: o.piecewise_interpolate_schedule("linear", 1.0, {5: 0.5, 15: 4.0}),
    ),
}

TOLERANCES = {
    "clipped rmsprop under a cosine": 1e-6,  # torch's formula, which ours is, adds 1e-6 to the norm it clips by
    "accumulated": 1e-8,  # Optax gates an update with numbers in float32
}
CHAINS = {
    "lion": (
        lion(0.01, (0.8, 0.95), 0.3),
        lambda o: o.lion(0.01, 0.8, 0.95, weight_decay=0.3),
    ),
    "clipped rmsprop under a cosine": (
        chain(clip_by_global_norm(1.0), rmsprop(cosine_decay(0.01, 15), alpha=0.9)),
        lambda o: o.chain(
            o.clip_by_global_norm(1.0), o.rmsprop(o.cosine_decay_schedule(0.01, 15), decay=0.9, eps_in_sqrt=False)
        ),
    ),
    "adamw by hand": (
        chain(scale_by_adam((0.8, 0.95)), add_decayed_weights(0.1), scale_by_learning_rate(linear(0.0, 0.02, 10))),
        lambda o: o.chain(
            o.scale_by_adam(0.8, 0.95),
            o.add_decayed_weights(0.1),
            o.scale_by_learning_rate(lambda count: o.linear_schedule(0.0, 0.02, 10)(count.astype(float))),
        ),
    ),
    "momentum of centered rms": (
        chain(clip_by_value(0.5), scale_by_rms(0.9, centered=True), trace(0.7, nesterov=True), scale(-0.003)),
        lambda o: o.chain(
            o.clip(0.5),
            o.scale_by_stddev(0.9, eps_in_sqrt=False),
            o.trace(0.7, nesterov=True),
            o.scale(-0.003),
        ),
    ),
    "sgd with Nesterov's momentum": (
        sgd(0.01, 0.9, weight_decay=0.1, nesterov=True),
        lambda o: o.chain(o.add_decayed_weights(0.1), o.sgd(0.01, 0.9, nesterov=True)),
    ),
    "adamw": (adamw(0.02, (0.8, 0.95)), lambda o: o.adamw(0.02, 0.8, 0.95, weight_decay=0.01)),
    "radam": (radam(0.02, (0.8, 0.9), eps=0.0), lambda o: o.radam(0.02, 0.8, 0.9, eps=0.0)),  # which stand apart
    "adadelta": (adadelta(0.5, 0.8), lambda o: o.adadelta(0.5, 0.8)),
    "lamb": (lamb(0.02, (0.8, 0.95), weight_decay=0.1), lambda o: o.lamb(0.02, 0.8, 0.95, weight_decay=0.1)),
    "lars": (
        lars(0.5, 0.8, 0.1, 0.01, nesterov=True),
        lambda o: o.lars(0.5, 0.1, trust_coefficient=0.01, momentum=0.8, nesterov=True),
    ),
    "schedule-free adamw": (
        schedule_free_adamw(0.02, (0.8, 0.95), weight_decay=0.1),
        lambda o: o.contrib.schedule_free_adamw(0.02, b1=0.8, b2=0.95, weight_decay=0.1),
    ),
    "accumulated": (
        chain(adamw(0.02), accumulate(3)),
        lambda o: o.MultiSteps(o.chain(o.scale(1 / 3), o.adamw(0.02, weight_decay=0.01)), 3, use_grad_mean=False),
    ),
    "skipped": (
        chain(skip_if_not_finite(2), adamw(0.02)),
        lambda o: o.apply_if_finite(o.adamw(0.02, weight_decay=0.01), 2),
    ),
    "sharpness-aware": (
        chain(sgd(0.02, 0.9), sharpness_aware(0.1)),
        lambda o: o.contrib.sam(o.sgd(0.02, 0.9), o.chain(o.contrib.normalize(), o.sgd(0.1)), sync_period=2),
    ),
    "partition": (
        partition({"weight|some": adamw(0.02), "": sgd(0.1, 0.9)}),
        lambda o: o.multi_transform(
            {"matrix": o.adamw(0.02, weight_decay=0.01), "other": o.sgd(0.1, 0.9)},
            ["matrix", "other", "other", "matrix", "other"],  # as Model lists its parameters
        ),
    ),
    "masked decay": (
        chain(add_decayed_weights(0.1, lambda p: p.ndim == 2), sgd(0.02)),
        lambda o: o.chain(o.add_decayed_weights(0.1, [True, False, False, True, False]), o.sgd(0.02)),
    ),
}


@pytest.fixture
def optax():
    import jax
    import optax

    with jax.enable_x64(True):
        yield optax


@pytest.mark.parametrize(("ours", "theirs"), SCHEDULES.values(), ids=SCHEDULES)
def test_schedules(optax, ours, theirs):
    peer = theirs(optax)
    for step in range(25):
        assert float(ours(torch.tensor(float(step), dtype=torch.float64))) == pytest.approx(
            float(peer(step)), rel=1e-12
        )


@pytest.mark.parametrize("case", CHAINS)
def test_chains(optax, case):
    import jax.numpy as jnp

    ours, theirs = CHAINS[case]
    model = Model()
    twin = copy.deepcopy(model)
    optimizer, peer = Optimizer(model, ours), theirs(optax)
    params = [jnp.asarray(p.detach().numpy()) for p in twin.parameters()]
    state = peer.init(params)
    for step in range(0, 40, 2):  # every parameter but `unused` has a gradient at even steps
        optimizer.step(model.loss(step))
        grads = torch.autograd.grad(twin.loss(step), list(twin.parameters()), allow_unused=True)
        # Optax knows no missing gradient: it decays the unused parameter, which ours leaves alone.
        updates, state = peer.update(
            [jnp.zeros_like(p) if g is None else jnp.asarray(g.numpy()) for g, p in zip(grads, params, strict=True)],
            state,
            params,
        )
        params = optax.apply_updates(params, updates)
        for param, value, grad in zip(twin.parameters(), params, grads, strict=True):
            if grad is not None:
                param.data = torch.tensor(value.tolist(), dtype=torch.float64)
    assert_same(model, twin, TOLERANCES.get(case, 1e-12))


def test_lookahead(optax):
    """Optax keeps both parameters outside."""
    import jax.numpy as jnp

    model = Model()
    optimizer = Optimizer(model, chain(sgd(0.02, 0.9), lookahead(3, 0.4)))
    peer = optax.lookahead(optax.sgd(0.02, 0.9), 3, 0.4)
    both = optax.LookaheadParams.init_synced([jnp.asarray(p.detach().numpy()) for p in model.parameters()])
    state = peer.init(both)
    twin = copy.deepcopy(model)
    for step in range(0, 20, 2):
        optimizer.step(model.loss(step))
        grads = torch.autograd.grad(twin.loss(step), list(twin.parameters()), allow_unused=True)
        zeros = [
            jnp.zeros_like(p) if g is None else jnp.asarray(g.numpy()) for g, p in zip(grads, both.fast, strict=True)
        ]
        updates, state = peer.update(zeros, state, both)
        both = optax.apply_updates(both, updates)
        for param, value in zip(twin.parameters(), both.fast, strict=True):
            param.data = torch.tensor(value.tolist(), dtype=torch.float64).reshape(param.shape)
        assert_same(model, twin)
    with optimizer.averaged_weights():
        for param, value in zip(model.parameters(), both.slow, strict=True):
            torch.testing.assert_close(param.tolist(), value.tolist(), rtol=1e-12, atol=1e-12)


def test_adaptive_clipping(optax):
    """Optax keeps outputs last, torch first."""
    import jax.numpy as jnp

    for shape in ((), (5,), (4, 3)):
        param, grad = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
        (ours,), _ = clip_adaptively(0.3).update([grad], [{}], [param])
        turned = [jnp.asarray(value.numpy()).T for value in (grad, param)]
        theirs, _ = optax.adaptive_grad_clip(0.3).update(turned[0], (), turned[1])
        torch.testing.assert_close(ours.tolist(), theirs.T.tolist(), rtol=1e-12, atol=0)


def test_muon(optax):
    """Optax iterates in the dtype of the gradient, torch in bfloat16: the same direction, to a few percent."""
    import jax.numpy as jnp

    param, grad = torch.randn(6, 4), torch.randn(6, 4)
    tx = muon(1.0, weight_decay=0.0)
    (ours,), _ = tx.update([grad], [tx.init(param)], [param])
    peer, weights = optax.contrib.muon(1.0, weight_decay=0.0), {"w": jnp.asarray(param.numpy())}
    theirs, _ = peer.update({"w": jnp.asarray(grad.numpy())}, peer.init(weights), weights)
    direction = torch.tensor(theirs["w"].tolist())
    assert torch.nn.functional.cosine_similarity(ours.flatten(), direction.flatten(), dim=0) > 0.99
