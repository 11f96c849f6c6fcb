"""Composition: transformations one after the other are one transformation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.transformation import GradientTransformation, State, StateInit, identity


def chain(*members: GradientTransformation) -> GradientTransformation:
    """Apply transformations in order, each to the updates of the one before.

    The states of all members lie side by side in one dict for each parameter. When two members use one name, the
    later one's gets a numeric suffix (``step``, ``step_1``), in the order of the members.

    Raises:
        OptimizerError: a member is not a `GradientTransformation`.

    Example:
        >>> from tessera.optim import adam, clip_by_global_norm, cosine_decay
        >>> tx = chain(clip_by_global_norm(1.0), adam(cosine_decay(1e-3, decay_steps=1000)))
        >>> list(tx.state)
        ['step', 'exp_avg', 'exp_avg_sq', 'step_1']
    """
    merged: dict[str, StateInit] = {}
    active: list[tuple[GradientTransformation, dict[str, str]]] = []
    for position, member in enumerate(members):
        if not isinstance(member, GradientTransformation):
            raise OptimizerError(
                f"chain() was given {member!r} at position {position}.",
                "Each of its arguments is a gradient transformation.",
                "Write for example chain(clip_by_global_norm(1.0), adam(1e-3)): the lower-case functions of "
                "tessera.optim make transformations.",
            )
        names = {}
        for name, make in member.state.items():
            names[name] = _unused(name, merged)
            merged[names[name]] = make
        if member is not identity():
            active.append((member, names))

    def update(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        updates = list(grads)
        new_states: list[State] = [{} for _ in params]
        for member, names in active:
            own = [{name: state[key] for name, key in names.items() if key in state} for state in states]
            updates, changed = member.update(updates, own, params)
            for new_state, values in zip(new_states, changed, strict=True):
                for name, value in values.items():
                    new_state[names[name]] = value
        return updates, new_states

    return GradientTransformation(merged, update)


def _unused(name: str, taken: dict[str, StateInit]) -> str:
    key, suffix = name, 0
    while key in taken:
        suffix += 1
        key = f"{name}_{suffix}"
    return key
