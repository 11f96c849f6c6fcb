"""Why an operation bore a value that is not finite, and what to write instead: one row for each known cause."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tessera.debug.ranges import Range

GENERAL = "Keep its inputs in the range where it is finite: torch.clamp(...), or a form that is stable for them."


@dataclass(frozen=True)
class Cause:
    """``why`` and ``instead`` are sentences."""

    why: str
    instead: str


def forward_cause(name: str, kind: str, operands: Sequence[Range], *, infinite: bool = False) -> Cause:
    """Why ``aten.<name>`` bore ``kind`` ("NaN", "inf", "-inf") of ``operands``.

    Args:
        infinite: whether a number among the arguments is.
    """
    name = name.rstrip("_").removeprefix("_foreach_")
    infinite = infinite or any(operand.inf for operand in operands)
    if kind == "NaN" and infinite and ("softmax" in name or "attention" in name):
        return Cause("A row of which every value is -inf has no softmax: 0 / 0.", _MASKED)
    if kind == "NaN" and not infinite and (found := _of_counts(name, operands)):
        return found
    if name in _DIVISIONS and _holds_zero(operands[-1:]):
        why = "0 is divided by 0." if kind == "NaN" else "A number is divided by 0."
        return Cause(why, "Add an eps to the divisor or clamp it: a / b.clamp_min(1e-12), where b is not negative.")
    if name in _DOMAINS and _leaves(operands, *_DOMAINS[name][2:]):
        return Cause(*_DOMAINS[name][:2])
    if kind != "NaN":
        return _overflow(name, operands)
    return _INFINITIES if infinite else Cause("Its inputs are outside of what it is defined for.", GENERAL)


def _of_counts(name: str, operands: Sequence[Range]) -> Cause | None:
    """NaN because there are too few values."""
    if "attention" in name:
        return Cause("A query that may see no key at all has no softmax: 0 / 0.", _MASKED)
    if name in _AVERAGES and any(operand.count == 0 for operand in operands):
        return Cause(
            f"The {name} of no values at all is 0 / 0.", "Leave empty batches out, or divide by max(count, 1)."
        )
    if name in _NORMS:
        return Cause("All values that it takes are equal, and eps is 0: 0 / 0.", "Write eps=1e-5.")
    if name in _SPREADS:
        return Cause("One value alone has no spread: n - 1 is 0.", "Write correction=0, or keep two values.")
    return None


def _leaves(operands: Sequence[Range], lowest: float, highest: float) -> bool:
    """Whether an operand has values at or beyond one of the ends."""
    return any(o.low is not None and (o.low <= lowest or (o.high or 0.0) >= highest) for o in operands)


def backward_cause(node: str, kind: str, operands: Sequence[Range]) -> Cause:
    """Why the backward of ``node`` (``SqrtBackward0``) bore ``kind``."""
    name = node.rstrip("0123456789").removesuffix("Backward").lower()
    for begin, cause in _SLOPES.items():
        if name.startswith(begin):
            return cause
    if kind == "NaN" and any(o.inf for o in operands):
        return Cause(
            "A gradient of 0 meets an infinite value: 0 * inf is NaN, also where torch.where discards the result.",
            "Make the input safe before the operation: y = f(torch.where(good, x, 1.0)), then torch.where(good, y, 0).",
        )
    return _overflow("", operands, of_gradient=True)


def _overflow(name: str, operands: Sequence[Range], *, of_gradient: bool = False) -> Cause:
    half = any(o.dtype is torch.float16 for o in operands)
    what = "The gradient" if of_gradient else "The result"
    why = f"{what} is larger than any number of its dtype."
    if name in _EXPONENTIALS:
        return Cause(why, _EXPONENTIALS[name])
    if name in {"_to_copy", "copy", "to"}:
        return Cause(why, "Keep it in float32, or use bfloat16, whose largest number is 3.4e38 and not 65504.")
    if half:
        return Cause(why, "float16 ends at 65504: use bfloat16, or scale down before this line (divide q by sqrt(d)).")
    return Cause(why, "Scale its inputs down, normalise before this line, or compute in logarithms.")


def _holds_zero(operands: Sequence[Range]) -> bool:
    return any(o.low is None or o.low <= 0 <= (o.high or 0.0) for o in operands)


_MASKED = "Let every row see something, or mask with torch.finfo(x.dtype).min instead of -inf and zero such rows later."
_INFINITIES = Cause(
    "It takes infinities: inf - inf, 0 * inf and inf / inf are NaN.",
    "Mask with a large finite number, torch.finfo(x.dtype).min, or use torch.where in place of arithmetic.",
)
_SPREADS = {"var", "std", "var_mean", "std_mean"}
_NORMS = {"native_layer_norm", "native_batch_norm", "native_group_norm", "_fused_rms_norm"}
_AVERAGES = {"mean", "median", "nanmedian", *_SPREADS}
_DIVISIONS = {"div", "divide", "true_divide", "floor_divide", "remainder", "fmod", "addcdiv"}
_INF = math.inf
_LOG = "The log of 0 is -inf, that of a negative number NaN."
_POLES = "It has poles at 0 and the negative integers."
_ARCS = "It is defined from -1 to 1, and rounding leaves that easily."
_DOMAINS = {
    # name: why, instead, and the ends: at or beyond them it is not finite
    "log": (_LOG, "Write torch.log(p.clamp_min(1e-12)), or get log-probabilities from log_softmax.", 0.0, _INF),
    "log2": (_LOG, "Write torch.log2(p.clamp_min(1e-12)).", 0.0, _INF),
    "log10": (_LOG, "Write torch.log10(p.clamp_min(1e-12)).", 0.0, _INF),
    "log1p": ("log1p of -1 is -inf, below that NaN.", "Write torch.log1p(x.clamp_min(-1 + 1e-6)).", -1.0, _INF),
    "xlogy": (_LOG, "Clamp the second argument: torch.xlogy(p, q.clamp_min(1e-12)).", 0.0, _INF),
    "sqrt": ("The root of a negative number is NaN.", "Write torch.sqrt(x.clamp_min(1e-12)).", 0.0, _INF),
    "rsqrt": ("The reciprocal root of 0 is inf, of less NaN.", "Write torch.rsqrt(x.clamp_min(1e-6)).", 0.0, _INF),
    "reciprocal": ("A number is divided by 0.", "Write 1 / x.clamp_min(1e-12), where x is not negative.", 0.0, _INF),
    "pow": (
        "0 to a negative power is inf, a negative number to a fraction NaN.",
        "Write x.clamp_min(1e-12) ** p.",
        0.0,
        _INF,
    ),
    "acos": (_ARCS, "Write torch.acos(x.clamp(-1 + 1e-6, 1 - 1e-6)).", -1.0, 1.0),
    "asin": (_ARCS, "Write torch.asin(x.clamp(-1 + 1e-6, 1 - 1e-6)).", -1.0, 1.0),
    "acosh": ("acosh is defined from 1 on.", "Write torch.acosh(x.clamp_min(1)).", 1.0, _INF),
    "atanh": ("It is infinite at -1 and 1.", "Write torch.atanh(x.clamp(-1 + 1e-6, 1 - 1e-6)).", -1.0, 1.0),
    "erfinv": ("It is infinite at -1 and 1.", "Write torch.erfinv(x.clamp(-1 + 1e-6, 1 - 1e-6)).", -1.0, 1.0),
    "logit": ("It is infinite at 0 and 1.", "Write torch.logit(p, eps=1e-6).", 0.0, 1.0),
    "special_ndtri": ("It is infinite at 0 and 1.", "Clamp its input: p.clamp(1e-6, 1 - 1e-6).", 0.0, 1.0),
    "lgamma": (_POLES, "Clamp its input above 0.", 0.0, _INF),
    "digamma": (_POLES, "Clamp its input above 0.", 0.0, _INF),
    "polygamma": (_POLES, "Clamp its input above 0.", 0.0, _INF),
}
_EXPONENTIALS = {
    "exp": "Subtract the maximum first: x - x.amax(-1, keepdim=True); or use softmax, logsumexp, x.clamp_max(80).",
    "exp2": "Clamp the exponent: torch.exp2(x.clamp_max(120)).",
    "expm1": "Clamp the exponent: torch.expm1(x.clamp_max(80)).",
    "sinh": "Clamp its input: torch.sinh(x.clamp(-80, 80)).",
    "cosh": "Clamp its input: torch.cosh(x.clamp(-80, 80)).",
    "pow": "Keep base or exponent small, or compute in logarithms: p * torch.log(x).",
    "prod": "Sum logarithms instead: torch.log(x).sum().exp(), or keep the logarithm.",
    "cumprod": "Sum logarithms instead: torch.log(x).cumsum(-1).",
    "square": "Scale x before it is squared, or use torch.linalg.vector_norm.",
}
_ROOT = "torch.sqrt(x + 1e-12), or torch.sqrt(x.clamp_min(1e-12))"
_SLOPES = {
    "sqrt": Cause("The slope of the root is infinite at 0.", f"Write {_ROOT}."),
    "rsqrt": Cause("The slope of 1 / sqrt(x) is infinite at 0.", "Write torch.rsqrt(x + 1e-6)."),
    "pow": Cause("The slope of x ** p with p < 1 is infinite at 0.", "Write x.clamp_min(1e-12) ** p."),
    "log1p": Cause("The slope of log1p is infinite at -1.", "Write torch.log1p(x.clamp_min(-1 + 1e-6))."),
    "log2": Cause("The slope of the log is infinite at 0.", "Write torch.log2(x.clamp_min(1e-12))."),
    "log10": Cause("The slope of the log is infinite at 0.", "Write torch.log10(x.clamp_min(1e-12))."),
    "logsoftmax": Cause("A row of -inf alone has no softmax.", _MASKED),
    "logsumexp": Cause("The log of a sum over -inf alone has no slope.", _MASKED),
    "logcumsumexp": Cause("The log of a sum over -inf alone has no slope.", _MASKED),
    "logit": Cause("The slope of logit is infinite at 0 and 1.", "Write torch.logit(p, eps=1e-6)."),
    "log": Cause("The slope of the log is infinite at 0.", "Write torch.log(x.clamp_min(1e-12))."),
    "acosh": Cause("The slope of acosh is infinite at 1.", "Write torch.acosh(x.clamp_min(1 + 1e-6))."),
    "acos": Cause("The slope of acos is infinite at -1 and 1.", "Write torch.acos(x.clamp(-1 + 1e-6, 1 - 1e-6))."),
    "asin": Cause("The slope of asin is infinite at -1 and 1.", "Write torch.asin(x.clamp(-1 + 1e-6, 1 - 1e-6))."),
    "atanh": Cause("The slope of atanh is infinite at -1 and 1.", "Write torch.atanh(x.clamp(-1 + 1e-6, 1 - 1e-6))."),
    "std": Cause("The spread of equal values has no slope: sqrt(0).", "Write torch.sqrt(x.var(-1) + 1e-12)."),
    "linalgvectornorm": Cause("The norm of a zero vector has no slope.", f"Write {_ROOT} of the sum of squares."),
    "cdist": Cause("The distance of equal points has no slope.", f"Write {_ROOT} of the sum of squared differences."),
    "div": Cause(
        "Something is divided by 0, or 0 times infinity: also where torch.where discards the result.",
        "Make the divisor safe first: a / torch.where(b == 0, 1.0, b), then torch.where(b == 0, 0.0, ...).",
    ),
    "reciprocal": Cause("The slope of 1 / x is infinite at 0.", "Write 1 / x.clamp_min(1e-12), if x >= 0."),
    "atan2": Cause("atan2 has no slope at (0, 0).", "Add an eps: torch.atan2(y, x + 1e-12)."),
    "angle": Cause("angle has no slope at 0.", "Keep the complex number away from 0."),
}  # fmt: skip
