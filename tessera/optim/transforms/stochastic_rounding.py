"""bfloat16 without a bias: numbers are rounded up or down by chance, in proportion to how near each side is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.counter_random import random_bits
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import (
    GradientTransformation,
    Member,
    State,
    StateInit,
    latest,
    long_count,
    unused,
)

_COUNT = "rounding_step"


def round_stochastically(value: Tensor, bits: Tensor) -> Tensor:
    """A tensor rounded to bfloat16 so that its expectation is the tensor.

    Args:
        value: any floating dtype; taken as float32.
        bits: int64 of its shape, uniform: `random_bits`. The lower 16 count.

    References:
        Gupta et al., Deep learning with limited numerical precision, 2015, arXiv:1502.02551.

    Example:
        >>> round_stochastically(torch.tensor([1.0, 0.0]), torch.tensor([65535, 65535]))
        tensor([1., 0.], dtype=torch.bfloat16)
    """
    value = value.to(torch.float32)
    # The upper half of a float32 is a bfloat16: what is added below decides whether the lower half carries into it.
    carried = value.view(torch.int32) + (bits & 0xFFFF).to(torch.int32)
    rounded = (carried & -0x10000).view(torch.float32)
    return torch.where(torch.isfinite(value), rounded, value).to(torch.bfloat16)


@names_checked
def bfloat16_state(inner: GradientTransformation, seed: int = 0) -> GradientTransformation:
    """Keep a transformation's state in bfloat16, rounded stochastically: half of float32's memory.

    A running mean with a decay of 0.999 changes by less than half of a bfloat16's last digit in most updates; rounded
    to the nearest it would stand still. State of no dimension (counts and the like) stays as it is.

    Args:
        inner: whose state; its arithmetic is float32 (float64 for float64 parameters).
        seed: other seeds round otherwise.

    References:
        Zamirai et al., Revisiting BFloat16 training, 2020, arXiv:2010.06192.

    Example:
        >>> from tessera.optim import scale_by_adam
        >>> state = bfloat16_state(scale_by_adam()).init(torch.zeros(3))
        >>> state["exp_avg"].dtype, state["step"].dtype
        (torch.bfloat16, torch.float32)
    """
    _check_transformation(inner)

    def narrow(make: StateInit) -> StateInit:
        def made(param: Tensor) -> Tensor | None:
            value = make(param)
            return value.to(torch.bfloat16) if value is not None and _narrows(value) else value

        return made

    count_name = unused(_COUNT, inner.state)
    names = list(inner.state)

    def around(inner: GradientTransformation) -> GradientTransformation:
        def update(
            grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
        ) -> tuple[list[Tensor], list[State]]:
            if not grads:
                return [], []
            count = latest([state[count_name] for state in states])
            wide = [
                {
                    name: value.to(torch.promote_types(param.dtype, torch.float32)) if _narrows(value) else value
                    for name, value in state.items()
                    if name != count_name
                }
                for state, param in zip(states, params, strict=True)
            ]
            updates, new = inner.update(grads, wide, params)
            kept = [
                {
                    name: round_stochastically(
                        value, random_bits(value, seed, position * len(names) + names.index(name), count)
                    )
                    if _narrows(old[name])
                    else value
                    for name, value in values.items()
                }
                | {count_name: (count + 1).to(old[count_name])}
                for position, (values, old) in enumerate(zip(new, states, strict=True))
            ]
            return updates, kept

        state: dict[str, StateInit] = {name: narrow(make) for name, make in inner.state.items()}
        by_name = (lambda of: around(inner.named(of))) if inner.by_name else None
        member = Member(inner, {name: name for name in inner.state})
        return GradientTransformation(
            {**state, count_name: long_count},
            update,
            by_name,
            (member,),
            within=lambda function: around(function(inner)),
        )

    return around(inner)


@names_checked
def stochastic_rounding(seed: int = 0) -> GradientTransformation:
    """Round bfloat16 parameters stochastically when they are updated; others pass.

        p = round(p + u)                                                  up or down by chance, right on average

    It belongs at the end of a chain. Small updates that rounding to the nearest would lose reach the parameters in
    time, so no float32 copy of them is needed.

    Args:
        seed: other seeds round otherwise.

    References:
        Zamirai et al., Revisiting BFloat16 training, 2020, arXiv:2010.06192.

    Example:
        >>> from tessera.optim import Optimizer, chain, sgd
        >>> weight = torch.nn.Parameter(torch.ones(1000, dtype=torch.bfloat16))
        >>> optimizer = Optimizer([weight], chain(sgd(1e-4), stochastic_rounding()))
        >>> _ = optimizer.step(weight.sum())
        >>> bool((weight < 1).any() and (weight == 1).any())
        True
    """

    def update(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        if not grads:
            return [], []
        count = latest([state[_COUNT] for state in states])
        updates = []
        for position, (step, param) in enumerate(zip(grads, params, strict=True)):
            if param.dtype == torch.bfloat16:
                aim = param.to(torch.float32) + step.to(torch.float32)
                rounded = round_stochastically(aim, random_bits(aim, seed, position, count))
                # In float32, where the way from one bfloat16 to the next is exact: adding it ends at that number.
                updates.append(rounded.to(torch.float32) - param.to(torch.float32))
            else:
                updates.append(step)
        return updates, [{_COUNT: (count + 1).to(state[_COUNT])} for state in states]

    return GradientTransformation({_COUNT: long_count}, update)


def _narrows(value: Tensor) -> bool:
    return value.ndim > 0 and value.is_floating_point()


def _check_transformation(inner: object) -> None:
    if not isinstance(inner, GradientTransformation):
        raise OptimizerError(
            f"bfloat16_state() was given {inner!r}.",
            "It takes a gradient transformation, whose state it keeps in bfloat16.",
            "Write for example bfloat16_state(adamw(1e-3)).",
        )
