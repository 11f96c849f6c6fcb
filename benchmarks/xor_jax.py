"""XOR's twin in JAX: the whole step jitted, or a whole epoch scanned in one jit; parameters donated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.jax_device import weights
from benchmarks.measure import Run

Convert = Callable[[tuple[float, ...]], Any]


def converters() -> tuple[Convert, Convert]:
    """What makes a JAX array of a tuple, by way of NumPy, faster than ``jnp.array`` alone; what stops at NumPy's."""
    import jax.numpy as jnp
    import numpy as np

    return lambda values: jnp.asarray(np.array(values, np.float32)), lambda values: np.array(values, np.float32)


def step_and_wait(module: torch.nn.Module, rate: float) -> tuple[Callable[[Any, Any], Any], Callable[[], Any]]:
    """A step ``(x, y) -> loss``, and what waits until all steps are done; the weights of ``module`` are copied."""
    import jax

    jitted = jax.jit(lambda parameters, x, y: update(parameters, x, y, rate), donate_argnums=0)
    parameters = weights(module)

    def step(x: Any, y: Any) -> Any:
        nonlocal parameters
        parameters, loss = jitted(parameters, x, y)
        return loss

    return step, lambda: jax.block_until_ready(parameters)


def scanned(module: torch.nn.Module, data: tuple[torch.Tensor, torch.Tensor], epochs: int, rate: float) -> Run:
    """``epochs`` jitted calls that scan inputs ``[samples, 2]`` and labels ``[samples, 1]`` and return all losses."""
    import jax
    import jax.numpy as jnp

    def epoch(parameters: Any, x: Any, y: Any) -> Any:
        return jax.lax.scan(lambda carried, sample: update(carried, sample[0], sample[1], rate), parameters, (x, y))

    jitted = jax.jit(epoch, donate_argnums=0)
    x, y = (jnp.array(t.cpu().numpy()) for t in data)
    parameters = weights(module)

    def run() -> float:
        nonlocal parameters
        losses: Any = None
        for _ in range(epochs):
            parameters, losses = jitted(parameters, x, y)
        jax.block_until_ready((parameters, losses))
        return float(losses[-1])

    return run


def update(parameters: Any, x: Any, y: Any, rate: float) -> tuple[Any, Any]:
    """One SGD step on one sample; the new parameters and the loss before it."""
    import jax

    def loss_of(p: Any) -> Any:
        hidden = jax.nn.sigmoid(p["0.weight"] @ x + p["0.bias"])
        output = jax.nn.sigmoid(p["2.weight"] @ hidden + p["2.bias"])
        return ((output - y) ** 2).mean()

    loss, gradients = jax.value_and_grad(loss_of)(parameters)
    return jax.tree.map(lambda p, g: p - rate * g, parameters, gradients), loss
