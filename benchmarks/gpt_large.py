"""A training step of a GPT with 1.3 billion parameters at T 2048 on one GPU, each way in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch

from benchmarks import gpt
from benchmarks.alone import Alone, alone, smaller
from benchmarks.gpt_alone import EAGER_IMPORTS, JAX_IMPORTS, OUR_IMPORTS, TORCH_IMPORTS, Way
from benchmarks.measure import Absent, Outcome
from benchmarks.plan import Plan, silent
from benchmarks.row import OURS, Part, Row, compared

LARGE = gpt.Size(layers=24, dim=2048, heads=16, length=2048, batch=4, vocabulary=50_304)

DEFAULT, MAX_AUTOTUNE = "torch.compile, fused AdamW, bf16", "torch.compile max-autotune, fused AdamW, bf16"
EAGER = "PyTorch eager, fused AdamW, bf16"
JAX, JAX_TUNED = "JAX, plain fp32 script", "JAX, bf16 and cuDNN's attention"
_PEAK_SIZE, _PEAK_S = 8192, 0.5


def measure(plan: Plan, size: gpt.Size = LARGE) -> Part:
    """Time, peak memory, and the share of what a matrix product reaches here. Those with a target come first."""
    sent = replace(plan, say=silent)
    ways: Mapping[str, Way] = {
        OURS: Way(partial(gpt.by_tessera, sent, size, precision="bf16"), OUR_IMPORTS),
        MAX_AUTOTUNE: Way(partial(gpt.by_torch, sent, size, autocast=True, mode="max-autotune"), TORCH_IMPORTS),
        JAX: Way(partial(gpt.by_jax, sent, size, plain=True), JAX_IMPORTS),
        JAX_TUNED: Way(partial(gpt.by_jax, sent, size, dtype="bfloat16", attention="cudnn"), JAX_IMPORTS),
        DEFAULT: Way(partial(gpt.by_torch, sent, size, autocast=True), TORCH_IMPORTS),
        EAGER: Way(partial(gpt.by_torch, sent, size, autocast=True, compiled=False), EAGER_IMPORTS),
    }
    found: dict[str, Alone | Absent] = {}
    for name, way in ways.items():
        plan.say(f"  {name}, in its own process")
        found[name] = alone(way.make, plan, imports=way.imports, rounds=3, units=gpt.STEPS)
        plan.say(f"  {name}: {found[name]}")
    title, ours = f"{gpt.described(size)}, bf16", found.pop(OURS)
    least, most = {MAX_AUTOTUNE: 1.15, JAX: 3.0}, {MAX_AUTOTUNE: 0.75, JAX: 0.58}
    rows = [compared(f"{title}, one step", p, _timing(ours), _timing(f), least=least.get(p)) for p, f in found.items()]
    rows += [smaller(f"{title}, peak memory", p, ours, f, most=most.get(p)) for p, f in found.items()]
    return Part([*rows, share(plan, f"{title}, one step", size, ours)])


def share(plan: Plan, title: str, size: gpt.Size, ours: Alone | Absent) -> Row:
    """Operations of the model a second, beside those of one large bf16 product on this device."""
    peer, target = f"a product of {_PEAK_SIZE} x {_PEAK_SIZE} matrices, bf16", ">= 0.6x"
    if isinstance(ours, Absent):
        return Row(title, peer, ours.reason, target=target, met=False)
    reached, peak = flops(size) / ours.timing.median, product_peak(plan)
    found = reached / peak
    return Row(title, peer, _tera(reached), _tera(peak), f"{found:.2f}x", target, found >= 0.6)


def flops(size: gpt.Size) -> float:
    """Floating-point operations of a step: Chowdhery et al., PaLM, 2022, appendix B. Causal scores count in full."""
    tokens = size.batch * size.length
    weights = size.layers * 12 * size.dim**2 + size.vocabulary * size.dim
    return 6.0 * weights * tokens + 12.0 * size.layers * size.dim * size.length * tokens


def product_peak(plan: Plan, size: int = _PEAK_SIZE) -> float:
    """Floating-point operations a second of the fastest of some large bf16 products."""
    matrix = torch.randn(size, size, device=plan.device).bfloat16()
    best, end = 0.0, time.perf_counter() + _PEAK_S
    while best == 0.0 or time.perf_counter() < end:
        plan.wait()
        began = time.perf_counter()
        torch.mm(matrix, matrix)
        plan.wait()
        best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def _timing(found: Alone | Absent) -> Outcome:
    return found if isinstance(found, Absent) else found.timing


def _tera(value: float) -> str:
    return f"{value / 1e12:,.3g} TFLOP/s"
