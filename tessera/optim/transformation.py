"""A gradient transformation: what it remembers of each parameter, and how it turns gradients into updates.

An optimizer is a chain of these (the idea is Optax's: DeepMind, 2020). Everything is pure tensor code, so the same
function runs eagerly and as part of a compiled training step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tessera import torch_internals

State = dict[str, Tensor]
"""What an optimizer remembers of one parameter, under torch's names: ``step``, ``exp_avg``, ``momentum_buffer``, ..."""

StateInit = Callable[[Tensor], Tensor]
"""Makes the first value of one state tensor from the parameter."""

Update = Callable[[Sequence[Tensor], Sequence[State], Sequence[Tensor]], tuple[list[Tensor], list[State]]]
ParameterUpdate = Callable[..., tuple[Tensor, State]]
CountFunction = Callable[[Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True)
class GradientTransformation:
    """A pure step from gradients to updates; an optimizer adds the updates to the parameters.

    Args:
        state: name -> function that makes the state's first value from the parameter. Names are known without making
            anything, so states can be merged, completed and checked one by one.
        update: ``(gradients, states, parameters) -> (updates, new states)``: lists with one entry for each parameter,
            updates in the shape and dtype of their parameters. No ``.item()``, no branch on a tensor's value, nothing
            in place.

    Example:
        >>> import torch
        >>> halve = GradientTransformation({}, lambda grads, states, params: ([g / 2 for g in grads], list(states)))
        >>> halve.update([torch.tensor(4.0)], [{}], [torch.tensor(1.0)])
        ([tensor(2.)], [{}])
    """

    state: Mapping[str, StateInit]
    update: Update

    def init(self, param: Tensor) -> State:
        """The state of one parameter before its first update."""
        return {name: make(param) for name, make in self.state.items()}


def per_parameter(
    update: ParameterUpdate, state: Mapping[str, StateInit], of_count: CountFunction | None = None
) -> GradientTransformation:
    """A transformation that treats each parameter alone: ``(gradient, state, parameter) -> (update, new state)``.

    Args:
        of_count: numbers made of a parameter's count, its state ``step``, by arithmetic of tensors; ``update`` gets
            them after the parameter.
    """

    def update_all(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        updates, new_states = [], []
        numbers = _of_counts(of_count, [old["step"] for old in states]) if of_count else [()] * len(params)
        for grad, old, param, extra in zip(grads, states, params, numbers, strict=True):
            changed, new = update(grad, old, param, *extra)
            # A 0-d parameter would otherwise take the float64 of a 0-d hyper-parameter or bias correction.
            updates.append(_as(param, changed))
            new_states.append({name: _as(old[name], value) for name, value in new.items()})
        return updates, new_states

    return GradientTransformation(state, update_all)


def _of_counts(function: CountFunction, counts: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """``function`` of each count: eagerly of all at once, for tiny operations would take half of the time of a step."""
    if torch_internals.is_recording() or len({count.device for count in counts}) != 1:
        return [function(count) for count in counts]
    return list(zip(*(number.unbind() for number in function(torch.stack(list(counts)))), strict=True))


def _as(given: Tensor, value: Tensor) -> Tensor:
    """``value`` in the dtype of ``given``; torch takes ten times as long to find out that it has it already."""
    return value if value.dtype == given.dtype else value.to(given.dtype)


def stateless(update: Callable[[Tensor, Tensor], Tensor]) -> GradientTransformation:
    """A transformation that remembers nothing: ``(gradient, parameter) -> update`` for each parameter alone."""
    return per_parameter(lambda grad, _, param: (update(grad, param), {}), {})


def identity() -> GradientTransformation:
    """The transformation that changes nothing; always the same one."""
    return _IDENTITY


_IDENTITY = GradientTransformation({}, lambda grads, states, _: (list(grads), [{} for _ in states]))


def zeros(param: Tensor) -> Tensor:
    """Zeros in the shape, dtype, layout and device of the parameter."""
    return torch.zeros_like(param)


def zero_count(param: Tensor) -> Tensor:
    """A count at zero: 0-d float32, as torch keeps ``step``.

    It lives beside the parameter, so that an update stays on one device; where that device has no float64, which
    bias corrections need, on the CPU.
    """
    device = torch.device("cpu") if param.device.type in {"mps", "xpu"} else param.device
    return torch.zeros((), dtype=torch.float32, device=device)
