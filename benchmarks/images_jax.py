"""The twins of ``images`` in JAX: whole steps jitted, parameters and optimizer state donated, AdamW from optax.

Images and convolutions have their channels last, which XLA prefers; the batch norms' running statistics are kept too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.jax_device import check_jax, weights

Forward = Callable[..., tuple[Any, dict[str, Any]]]
"""``(parameters, inputs)`` -> scores, and the mean and variance of each batch norm by its name."""

_MOMENTUM, _EPSILON = 0.1, 1e-5


def step_and_wait(
    module: torch.nn.Module,
    batch: tuple[torch.Tensor, torch.Tensor],
    forward: Forward,
    learning_rate: float,
    decay: float,
    dtype: str,
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A step that returns its loss, and what waits until all steps are done.

    Args:
        module: the torch model; its weights are copied.
        batch: inputs and labels.
        forward: its twin.
        dtype: of all that is computed before the loss; parameters, statistics and updates are fp32.
    """
    check_jax(batch[0].device)
    import jax
    import jax.numpy as jnp
    import optax

    parameters = {name: _channels_last(value, (2, 3, 1, 0)) for name, value in weights(module).items()}
    x, y = _channels_last(jnp.asarray(batch[0].cpu().numpy()), (0, 2, 3, 1)), jnp.asarray(batch[1].cpu().numpy())
    optimizer = optax.adamw(learning_rate, weight_decay=decay)
    state = optimizer.init(parameters)
    running: dict[str, Any] = {}

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        lowered = {name: value.astype(dtype) for name, value in parameters.items()}
        # fp32 means fp32 on a GPU too, as it does in torch; JAX would use TF32 there.
        with jax.default_matmul_precision("highest" if dtype == "float32" else "default"):
            scores, statistics = forward(lowered, x.astype(dtype))
        scores = scores.astype("float32")
        return optax.softmax_cross_entropy_with_integer_labels(scores, y).mean(), statistics

    def update(parameters: Any, state: Any, running: Any, x: Any, y: Any) -> tuple[Any, ...]:
        (loss, seen), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, x, y)
        changes, state = optimizer.update(gradients, state, parameters)
        running = jax.tree.map(lambda old, new: old + _MOMENTUM * (new - old), running or seen, seen)
        return optax.apply_updates(parameters, changes), state, running, loss

    jitted = jax.jit(update, donate_argnums=(0, 1, 2))

    def step() -> Any:
        nonlocal parameters, state, running
        parameters, state, running, loss = jitted(parameters, state, running, x, y)
        return loss

    return step, lambda: jax.block_until_ready((parameters, state))


def resnet(
    p: Any, x: Any, *, strides: Sequence[int], stem: int, pools: bool, branch: int
) -> tuple[Any, dict[str, Any]]:
    """Images ``[batch, height, width, 3]`` -> scores ``[batch, class]``; ``branch``: the convolution with a stride."""
    import jax

    statistics: dict[str, Any] = {}

    def norm(name: str, x: Any) -> Any:
        wide = x.astype("float32")
        mean, variance = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
        statistics[name] = {"mean": mean, "variance": variance}
        scaled = (wide - mean) * jax.lax.rsqrt(variance + _EPSILON)
        return scaled.astype(x.dtype) * p[f"{name}.weight"] + p[f"{name}.bias"]

    x = jax.nn.relu(norm("norm", _convolved(x, p["stem.weight"], stem)))
    if pools:
        around = ((0, 0), (1, 1), (1, 1), (0, 0))
        x = jax.lax.reduce_window(x, -float("inf"), jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), around)
    for block, stride in ((f"blocks.{number}", stride) for number, stride in enumerate(strides)):
        beside, number = x, 0
        if f"{block}.shortcut.weight" in p:
            beside = norm(f"{block}.shortcut_norm", _convolved(x, p[f"{block}.shortcut.weight"], stride))
        while (weight := p.get(f"{block}.convs.{number}.weight")) is not None:
            x = _convolved(jax.nn.relu(x) if number else x, weight, stride if number == branch else 1)
            x = norm(f"{block}.norms.{number}", x)
            number += 1
        x = jax.nn.relu(x + beside)
    return x.mean((1, 2)) @ p["head.weight"].T + p["head.bias"], statistics


def vit(p: Any, x: Any, heads: int) -> tuple[Any, dict[str, Any]]:
    """Images ``[batch, height, width, 3]`` -> scores ``[batch, class]``."""
    import jax
    import jax.numpy as jnp

    def linear(name: str, x: Any) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(name: str, x: Any) -> Any:
        wide = x.astype("float32")
        centred = wide - wide.mean(-1, keepdims=True)
        scaled = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + _EPSILON)
        return scaled.astype(x.dtype) * p[f"{name}.weight"] + p[f"{name}.bias"]

    weight = p["patches.weight"]
    x = _convolved(x, weight, weight.shape[0], "VALID") + p["patches.bias"]
    x = x.reshape(x.shape[0], -1, x.shape[-1]) + p["positions"]
    for block in (f"blocks.{number}" for number in range(sum(name.endswith("qkv.weight") for name in p))):
        qkv = linear(f"{block}.qkv", norm(f"{block}.attention_norm", x)).reshape(*x.shape[:2], 3, heads, -1)
        q, k, v = (qkv[:, :, which] for which in range(3))  # each [batch, patch, head, dim of a head]
        x = x + linear(f"{block}.out", jnp.reshape(jax.nn.dot_product_attention(q, k, v), x.shape))
        hidden = jax.nn.gelu(linear(f"{block}.up", norm(f"{block}.mlp_norm", x)), approximate=True)
        x = x + linear(f"{block}.down", hidden)
    return linear("head", norm("norm", x).mean(1)), {}


def mlp(p: Any, x: Any) -> tuple[Any, dict[str, Any]]:
    """``[batch, inputs]`` -> scores ``[batch, class]``."""
    import jax

    for layer in ("0", "2"):
        x = jax.nn.relu(x @ p[f"{layer}.weight"].T + p[f"{layer}.bias"])
    return x @ p["4.weight"].T + p["4.bias"], {}


def _convolved(x: Any, weight: Any, stride: int = 1, padding: str | None = None) -> Any:
    import jax

    around = weight.shape[0] // 2
    return jax.lax.conv_general_dilated(
        x,
        weight,
        (stride, stride),
        padding or [(around, around)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _channels_last(value: Any, order: tuple[int, ...]) -> Any:
    return value.transpose(order) if value.ndim == len(order) else value
