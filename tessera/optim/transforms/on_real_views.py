"""Complex parameters: treat the real and the imaginary part as two numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.optim.transformation import GradientTransformation, Member, State


def on_real_views(transformation: GradientTransformation) -> GradientTransformation:
    """Run a transformation on ``[..., 2]`` real views of complex parameters, as torch's optimizers do.

    The state keeps the parameter's shape and dtype; parameters that are real pass as they are. A composition hands
    complex parameters on to what is inside it, so that a mask sees the parameter itself.
    """
    if transformation.within:
        return transformation.within(on_real_views)

    def update(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        updates, new_states = transformation.update(
            [_as_real(grad) for grad in grads],
            [{name: _as_real(value) for name, value in state.items()} for state in states],
            [_as_real(param) for param in params],
        )
        return (
            [_as_like(value, param) for value, param in zip(updates, params, strict=True)],
            [
                {name: _as_like(value, state[name]) for name, value in new.items()}
                for new, state in zip(new_states, states, strict=True)
            ],
        )

    whole = Member(transformation, {name: name for name in transformation.state})
    return GradientTransformation(transformation.state, update, members=(whole,))


def _as_real(value: Tensor) -> Tensor:
    return torch.view_as_real(value) if value.is_complex() else value


def _as_like(value: Tensor, like: Tensor) -> Tensor:
    return torch.view_as_complex(value.contiguous()) if like.is_complex() else value
