"""Finds the operation where a value that is not finite was born, by running the step again, one operation at a time."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.capture.loss_scale import Scaling
from tessera.errors import NonFiniteError, SourceLine
from tessera.program.provenance import line_of_trace

# Masks are made of infinities on purpose.
_FILLS = (
    "full",
    "fill",
    "masked_fill",
    "where",
    "scalar_tensor",
    "new_full",
    "full_like",
    "lift_fresh",
    "clone",
    "copy",
)


def not_finite_error(
    forward: Callable[..., Any],
    arguments: Sequence[Any],
    module: torch.nn.Module,
    loss: torch.Tensor,
    scaling: Scaling | None = None,
) -> NonFiniteError:
    """The error for a step whose loss or gradients were not finite; runs it again to name the first such operation.

    Buffers, gradients and the random stream are left as they were found. ``scaling`` is that of the loss, if it is
    scaled.
    """
    scale = None if scaling is None else scaling.scale.item()
    found = _first_input(arguments, module) or _first(forward, arguments, module, scale or 1.0)
    value = loss.item()
    what = (
        f"The loss became {value}."
        if not math.isfinite(value)
        else (f"A gradient is not finite although the loss is {value:.6g}.")
    )
    born = (
        f"The first value that was not finite came from {found[0]}."
        if found
        else "Run again one operation at a time, every value was finite: it depends on the random numbers drawn,"
        " or on a micro-batch before this one."
    )
    fix = "Lower the learning rate, pass clip_norm=1.0, or write that line in a form that is stable for its inputs."
    if scaling is not None and scaling.rule.is_dynamic:
        what = f"{what[:-1]}, and the loss scale has fallen to {scale:g} in vain."
    elif scaling is not None:
        fix = f'{fix[:-1]}; a loss_scale="auto" in place of {scale:g} adapts itself.'
    return NonFiniteError(
        what,
        f"{born} The weights and the optimizer's state are those of the last finite step.",
        fix,
        found[1] if found else None,
    )


def _first_input(arguments: Sequence[Any], module: torch.nn.Module) -> tuple[str, None] | None:
    for index, tensor in enumerate(torch_internals.tensors_in(arguments[3:])):
        if _bad(tensor):
            return f"the batch: tensor {index} of it holds NaN or infinity", None
    for kind, named in (("parameter", module.named_parameters()), ("buffer", module.named_buffers())):
        for name, tensor in named:
            if _bad(tensor.detach()):
                return f"the {kind} {name}, which held it before the step", None
    return None


def _first(
    forward: Callable[..., Any], arguments: Sequence[Any], module: torch.nn.Module, scale: float
) -> tuple[str, SourceLine | None] | None:
    buffers = [(b, b.clone()) for b in module.buffers()]
    gradients = [(p, p.grad) for p in module.parameters()]
    random = torch.get_rng_state()
    watch = _Watch()
    try:
        with torch.enable_grad(), torch.autograd.set_detect_anomaly(True, check_nan=False), watch:
            loss, _ = forward(*arguments)
            watch.backward = True
            loss.backward(torch.full_like(loss, scale))
    finally:
        torch.set_rng_state(random)
        with torch.no_grad():
            for buffer, saved in buffers:
                buffer.copy_(saved)
        for parameter, gradient in gradients:
            parameter.grad = gradient
    return watch.found


class _Watch(torch_internals.DispatchMode):
    """Remembers the first operation that turns finite inputs into a value that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.found: tuple[str, SourceLine | None] | None = None
        self.backward = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if self.found is None and name.rstrip("_") not in _FILLS and _bad(result) and not _bad((args, kwargs)):
            if self.backward:
                self.found = (
                    f"aten.{name} in the backward pass",
                    line_of_trace(torch_internals.forward_trace_of_backward()),
                )
            else:
                self.found = f"aten.{name}", line_of_trace("".join(traceback.format_stack()))
        return result


def _bad(values: Any) -> bool:
    return any(
        v.dtype.is_floating_point and not bool(torch.isfinite(v).all()) for v in torch_internals.tensors_in(values)
    )
