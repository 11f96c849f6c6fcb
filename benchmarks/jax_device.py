"""JAX on the device that a run measures, and how torch's weights get there."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.measure import NotMeasured


def check_jax(device: torch.device) -> None:
    """Check that JAX computes on the same kind of device.

    Raises:
        ModuleNotFoundError: JAX is not installed.
        NotMeasured: it has no GPU here.
    """
    import jax

    wanted = "gpu" if device.type == "cuda" else "cpu"
    if jax.default_backend() != wanted:
        raise NotMeasured(f"JAX runs on {jax.default_backend()} here")


def weights(module: torch.nn.Module) -> dict[str, Any]:
    """The parameters of ``module`` as JAX arrays, by name, in torch's layout."""
    import jax.numpy as jnp

    return {name: jnp.array(value.detach().cpu().numpy()) for name, value in module.named_parameters()}
