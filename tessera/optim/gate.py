"""An update that takes place at some calls and not at others, decided by numbers in the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.optim.transformation import Average, GradientTransformation, Member, State, StateInit, identity, unused


@dataclass(frozen=True)
class Decision:
    """What a gate decides at one call.

    Attributes:
        opens: 0-d bool: whether the update takes place.
        grads: the gradients to update by.
        states: the gate's own new states.
        origins: parameters to update from, where those are not where the gradients were taken.
        otherwise: the updates of a call that the gate stays closed at; None: nothing moves.
    """

    opens: Tensor
    grads: Sequence[Tensor]
    states: Sequence[State]
    origins: Sequence[Tensor] | None = None
    otherwise: Sequence[Tensor] | None = None


Decide = Callable[[Sequence[Tensor], Sequence[State], Sequence[Tensor]], Decision]


def gated(
    inner: GradientTransformation,
    state: Mapping[str, StateInit],
    decide: Decide,
    average: Average | None = None,
) -> GradientTransformation:
    """``inner`` where ``decide`` opens; its state is as it was where it does not.

    Both sides are computed and one is chosen, so a compiled step has no branch.

    Args:
        state: of the gate.
        decide: ``(gradients, the gate's states, parameters) -> Decision``; there is a gradient at least.
        average: the weights to evaluate with; see `GradientTransformation`.
    """
    taken: dict[str, StateInit] = dict(inner.state)
    names = {}
    for name, make in state.items():
        names[name] = unused(name, taken)
        taken[names[name]] = make
    gate = Member(GradientTransformation(state, identity().update, average=average), names)
    whole = Member(inner, {name: name for name in inner.state})

    def around(inner: GradientTransformation) -> GradientTransformation:
        def update(
            grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
        ) -> tuple[list[Tensor], list[State]]:
            if not grads:
                return [], []
            decision = decide(grads, [gate.own(old) for old in states], params)
            origins = params if decision.origins is None else decision.origins
            own = [whole.own(old) for old in states]
            updates, new = inner.update(decision.grads, own, origins)
            if decision.origins is not None:
                updates = [at - param + step for at, param, step in zip(origins, params, updates, strict=True)]
            otherwise = decision.otherwise
            if otherwise is None:
                otherwise = [step.new_zeros(()) for step in updates]

            def choose(opened: Tensor, closed: Tensor) -> Tensor:
                return torch.where(decision.opens.to(opened.device), opened, closed)

            kept = [
                {name: choose(value, old[name]) for name, value in values.items()} | gate.outer(mine)
                for values, old, mine in zip(new, own, decision.states, strict=True)
            ]
            return [choose(step, other) for step, other in zip(updates, otherwise, strict=True)], kept

        own_inside = {name: make for name, make in taken.items() if name in names.values()}
        by_name = (lambda of: around(inner.named(of))) if inner.by_name else None
        return GradientTransformation(
            {**inner.state, **own_inside},
            update,
            by_name,
            (Member(inner, whole.names), gate),
            within=lambda function: around(function(inner)),
        )

    return around(inner)
