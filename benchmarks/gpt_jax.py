"""The GPT's twin in JAX: the whole step jitted, parameters and optimizer state donated, AdamW from optax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.jax_device import check_jax, weights


def step_and_wait(
    module: torch.nn.Module,
    batch: tuple[torch.Tensor, torch.Tensor],
    heads: int,
    learning_rate: float,
    decay: float,
    dtype: str,
    *,
    plain: bool = False,
    attention: str | None = None,
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A step that returns its loss, and what waits until all steps are done.

    Args:
        module: the torch GPT; its weights are copied.
        batch: tokens and the tokens after them, each ``[batch, seq]``.
        dtype: of all that is computed between the embedding and the loss; parameters and their update are fp32.
        plain: products have JAX's own precision, which on a GPU is TF32, and not fp32 in the strict sense.
        attention: the implementation that ``jax.nn.dot_product_attention`` is to take.
    """
    check_jax(batch[0].device)
    import jax
    import jax.numpy as jnp
    import optax

    parameters = weights(module)
    x, y = (jnp.asarray(t.cpu().numpy(), jnp.int32) for t in batch)
    optimizer = optax.adamw(learning_rate, weight_decay=decay)
    state = optimizer.init(parameters)

    def update(parameters: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y, heads, dtype, plain=plain, attention=attention)
        changes, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, changes), state, loss

    jitted = jax.jit(update, donate_argnums=(0, 1))

    def step() -> Any:
        nonlocal parameters, state
        parameters, state, loss = jitted(parameters, state, x, y)
        return loss

    return step, lambda: jax.block_until_ready((parameters, state))


def loss_of(
    parameters: Any, x: Any, y: Any, heads: int, dtype: str, *, plain: bool = False, attention: str | None = None
) -> Any:
    """Mean cross-entropy of the next token."""
    import jax
    import optax

    # fp32 means fp32 on a GPU too, as it does in torch; JAX would use TF32 there.
    with jax.default_matmul_precision("highest" if dtype == "float32" and not plain else "default"):
        scores = forward({name: value.astype(dtype) for name, value in parameters.items()}, x, heads, attention)
    return optax.softmax_cross_entropy_with_integer_labels(scores.astype("float32"), y).mean()


def forward(p: Any, tokens: Any, heads: int, attention: Any = None) -> Any:
    """Tokens ``[batch, seq]`` -> ``[batch, seq, vocabulary]``; ``p`` has the names and layouts of torch."""
    import jax
    import jax.numpy as jnp

    def linear(name: str, x: Any) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(name: str, x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred**2).mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    x = p["tokens.weight"][tokens] + p["positions"]
    layers = sum(name.endswith("qkv.weight") for name in p)
    for block in (f"blocks.{number}" for number in range(layers)):
        qkv = linear(f"{block}.qkv", norm(f"{block}.attention_norm", x))
        qkv = qkv.reshape(*tokens.shape, 3, heads, -1)
        q, k, v = (qkv[:, :, which] for which in range(3))  # each [batch, seq, head, dim of a head]
        attended = jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=attention)
        x = x + linear(f"{block}.out", jnp.reshape(attended, x.shape))
        hidden = jax.nn.gelu(linear(f"{block}.up", norm(f"{block}.mlp_norm", x)), approximate=True)
        x = x + linear(f"{block}.down", hidden)
    return norm("norm", x) @ p["head.weight"].T
