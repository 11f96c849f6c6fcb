"""A training step of a 2-layer LSTM (T 64, H 256, B 32, AdamW), and of longer and smaller ones, beside its peers."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.image_models import CLASSES
from benchmarks.images import Work, best, by_jax, by_tessera, by_torch
from benchmarks.measure import Make, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, Row, compared, faster

EAGER, COMPILED, JAX = "PyTorch eager, fused AdamW", "torch.compile, fused AdamW", "JAX, lax.scan"
BEST = "the best of PyTorch eager and JAX"
LEAST, GROWTH = 1.1, 1.5
LENGTHS = (16, 64, 256)


class LSTM(nn.Module):
    """Sequences ``[batch, time, inputs]`` -> scores ``[batch, class]`` of the last output."""

    def __init__(self, inputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.lstm(x)[0][:, -1])
        return scores


def measure(plan: Plan) -> Part:
    """The time of a step, and that compiling takes as long for many steps of time as for few."""
    part = sum((_rows(plan, work) for work in (lstm(), lstm(hidden=64), lstm(length=256, layers=1))), Part())
    return part + compile_times(plan)


def lstm(length: int = 64, hidden: int = 256, layers: int = 2, batch: int = 32) -> Work:
    """As many inputs as the hidden size."""
    title = f"LSTM, {layers} layers, H {hidden}, T {length}, B {batch}, AdamW"
    return Work(
        title, partial(LSTM, hidden, hidden, layers), (length, hidden), batch, 2, partial(in_jax, layers=layers)
    )


def compile_times(plan: Plan) -> Part:
    """Seconds to the end of the first step, for sequences of growing length and a hidden size of its own."""
    seconds = {}
    for number, length in enumerate(LENGTHS):
        work = lstm(length, hidden=120 + 8 * number, batch=8)  # sizes that no compilation before has met
        started = time.perf_counter()
        by_tessera(plan, work)()
        seconds[length] = time.perf_counter() - started
    shown = ", ".join(f"T {length}: {took:.1f} s" for length, took in seconds.items())
    ratio = seconds[LENGTHS[-1]] / seconds[LENGTHS[0]]
    title = f"LSTM, first step with all before it, T {LENGTHS[-1]} against T {LENGTHS[0]}"
    return Part([Row(title, "", shown, "", f"{ratio:.2f}x", f"<= {GROWTH:g}x", ratio <= GROWTH)])


def _rows(plan: Plan, work: Work) -> Part:
    ways: dict[str, Make] = {
        OURS: partial(by_tessera, plan, work),
        EAGER: partial(by_torch, plan, work, compiled=False),
        COMPILED: partial(by_torch, plan, work),
        JAX: partial(by_jax, plan, work),
    }
    outcomes = in_turns(ways, plan, rounds=9, units=work.steps)
    part = faster(f"{work.title}, one step, fp32", outcomes, {})
    fastest = best([outcomes[EAGER], outcomes[JAX]])
    part.rows.append(compared(f"{work.title}, one step, fp32", BEST, outcomes[OURS], fastest, least=LEAST))
    return part


def in_jax(p: Any, x: Any, layers: int) -> tuple[Any, dict[str, Any]]:
    """The twin of ``LSTM``: one product for the inputs of all steps of time, then a scan; no statistics."""
    import jax
    import jax.numpy as jnp

    x = x.swapaxes(0, 1)
    for layer in range(layers):
        of_input, of_state, *biases = (
            p[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        state = jnp.zeros((x.shape[1], of_state.shape[1]), x.dtype)

        def turn(carry: tuple[Any, Any], gates: Any, weight: Any = of_state) -> tuple[tuple[Any, Any], Any]:
            h, c = carry
            i, f, g, o = jnp.split(gates + h @ weight.T, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        _, x = jax.lax.scan(turn, (state, state), x @ of_input.T + sum(biases))
    return x[-1] @ p["head.weight"].T + p["head.bias"], {}
