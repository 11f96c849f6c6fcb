"""A gradient transformation: what it remembers of each parameter, and how it turns gradients into updates.

An optimizer is a chain of these (the idea is Optax's: DeepMind, 2020). Everything is pure tensor code, so the same
function runs eagerly and as part of a compiled training step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from tessera import torch_internals

State = dict[str, Tensor]
"""What an optimizer remembers of one parameter, under torch's names: ``step``, ``exp_avg``, ``momentum_buffer``, ..."""

StateInit = Callable[[Tensor], Tensor | None]
"""Makes the first value of one state tensor from the parameter; None where a parameter has no such state."""

Update = Callable[[Sequence[Tensor], Sequence[State], Sequence[Tensor]], tuple[list[Tensor], list[State]]]
ParameterUpdate = Callable[..., tuple[Tensor, State]]
CountFunction = Callable[[Tensor], tuple[Tensor, ...]]
Observe = Callable[[State, float], State]
Average = Callable[[State, Tensor], Tensor]
Rate = Callable[[Sequence[State]], "Tensor | float"]
Within = Callable[[Callable[["GradientTransformation"], "GradientTransformation"]], "GradientTransformation"]


@dataclass(frozen=True)
class GradientTransformation:
    """A pure step from gradients to updates; an optimizer adds the updates to the parameters.

    Args:
        state: name -> function that makes the state's first value from the parameter. Names are known without making
            anything, so states can be merged, completed and checked one by one.
        update: ``(gradients, states, parameters) -> (updates, new states)``: lists with one entry for each parameter,
            updates in the shape and dtype of their parameters. No ``.item()``, no branch on a tensor's value, nothing
            in place.
        by_name: what this transformation is for parameters of these names, one name for each; None where names do not
            matter.
        members: the transformations inside, each with its states' names as they are out here.
        observe: ``(state, value) -> changed states``: takes in a value of the loss between two updates.
        average: ``(state, parameter) -> the weights to evaluate with``, where those are not the trained ones.
        rate: ``states -> the learning rate of the latest update``, of the one transformation that has the rate.
        within: the same composition of what a function makes of each transformation inside; None: it is no composition.

    Example:
        >>> import torch
        >>> halve = GradientTransformation({}, lambda grads, states, params: ([g / 2 for g in grads], list(states)))
        >>> halve.update([torch.tensor(4.0)], [{}], [torch.tensor(1.0)])
        ([tensor(2.)], [{}])
    """

    state: Mapping[str, StateInit]
    update: Update
    by_name: Callable[[Sequence[str]], GradientTransformation] | None = None
    members: Sequence[Member] = ()
    observe: Observe | None = None
    average: Average | None = None
    rate: Rate | None = None
    within: Within | None = None
    _bound: dict[tuple[str, ...], GradientTransformation] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def init(self, param: Tensor) -> State:
        """The state of one parameter before its first update."""
        made = {name: make(param) for name, make in self.state.items()}
        return {name: value for name, value in made.items() if value is not None}

    def named(self, names: Sequence[str]) -> GradientTransformation:
        """This transformation for parameters of these names."""
        if self.by_name is None:
            return self
        asked = tuple(names)
        if asked not in self._bound:  # an eager step asks at every step, and for each parameter
            self._bound[asked] = self.by_name(asked)
        return self._bound[asked]

    def everything_inside(self, param: Tensor | None = None) -> Iterator[Member]:
        """This transformation and all inside it, each with its states' names as they are here.

        Args:
            param: only those that update it; names are bound by then.
        """
        yield Member(self, {name: name for name in self.state})
        for member in self.members:
            if param is None or member.updates(param):
                for inner in member.transformation.everything_inside(param):
                    names = {own: member.names[name] for own, name in inner.names.items()}
                    yield Member(inner.transformation, names)


class Member(NamedTuple):
    """A transformation inside another.

    Attributes:
        names: its own names of its states -> their names in the other's state.
        updates: whether it has a part in the updates of a parameter.
    """

    transformation: GradientTransformation
    names: Mapping[str, str]
    updates: Callable[[Tensor], bool] = lambda _: True

    def own(self, state: Mapping[str, Tensor]) -> State:
        """Those tensors of the other's state that are this one's, under its own names."""
        return {own: state[name] for own, name in self.names.items() if name in state}

    def outer(self, state: State) -> State:
        """This one's state under the other's names."""
        return {self.names[name]: value for name, value in state.items()}


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


def unused(name: str, taken: Collection[str]) -> str:
    """``name``, or where that is taken, with the first numeric suffix that is not."""
    key, suffix = name, 0
    while key in taken:
        suffix += 1
        key = f"{name}_{suffix}"
    return key


def latest(counts: Sequence[Tensor]) -> Tensor:
    """The largest of some counts, float64: how often the parameter with the most updates was updated."""
    return torch.stack([count.to(counts[0].device) for count in counts]).amax().to(torch.float64)


def zeros(param: Tensor) -> Tensor:
    """Zeros in the shape, dtype, layout and device of the parameter."""
    return torch.zeros_like(param)


def wide_copy(param: Tensor) -> Tensor:
    """A copy of the parameter in float32 at least: an average of bfloat16 numbers would stand still in bfloat16."""
    return param.to(torch.promote_types(param.dtype, torch.float32), copy=True)


def wide_zeros(param: Tensor) -> Tensor:
    """Zeros in the shape of the parameter, in float32 at least."""
    return torch.zeros_like(param, dtype=torch.promote_types(param.dtype, torch.float32))


def long_count(param: Tensor) -> Tensor:
    """A count at zero that goes on after 2^24, where a float32 stops: 0-d float64, beside the parameter."""
    return zero_count(param).to(torch.float64)


def zero_count(param: Tensor) -> Tensor:
    """A count at zero: 0-d float32, as torch keeps ``step``.

    It lives beside the parameter, so that an update stays on one device; where that device has no float64, which
    bias corrections need, on the CPU.
    """
    device = torch.device("cpu") if param.device.type in {"mps", "xpu"} else param.device
    return torch.zeros((), dtype=torch.float32, device=device)
