"""Schedules, Lion and chains side by side with Optax, in float64 on the CPU."""

import copy

import pytest
import torch

from tessera.optim import (
    Optimizer,
    add_decayed_weights,
    chain,
    clip_by_global_norm,
    clip_by_value,
    cosine_decay,
    exponential_decay,
    linear,
    lion,
    piecewise_constant,
    rmsprop,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_rms,
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
    # torch's formula, which ours is, adds 1e-6 to the norm it clips by; Optax does not.
    assert_same(model, twin, tolerance=1e-6 if case == "clipped rmsprop under a cosine" else 1e-12)
