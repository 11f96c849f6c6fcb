"""Composition: transformations one after the other are one transformation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.around import Around
from tessera.optim.transformation import (
    GradientTransformation,
    Member,
    State,
    identity,
    unused,
)


def chain(*members: GradientTransformation) -> GradientTransformation:
    """Apply transformations in order, each to the updates of the one before.

    The states of all members lie side by side in one dict for each parameter. When two members use one name, the
    later one's gets a numeric suffix (``step``, ``step_1``), in the order of the members. Members that act on the
    whole chain (`accumulate`, `skip_if_not_finite`, `freeze`, `sam`) may stand anywhere in it.

    Raises:
        OptimizerError: a member is not a `GradientTransformation`.

    Example:
        >>> from tessera.optim import adam, clip_by_global_norm, cosine_decay
        >>> tx = chain(clip_by_global_norm(1.0), adam(cosine_decay(1e-3, decay_steps=1000)))
        >>> list(tx.state)
        ['step', 'exp_avg', 'exp_avg_sq', 'step_1']
    """
    for position, member in enumerate(members):
        if not isinstance(member, GradientTransformation):
            raise OptimizerError(
                f"chain() was given {member!r} at position {position}.",
                "Each of its arguments is a gradient transformation.",
                "Write for example chain(clip_by_global_norm(1.0), adam(1e-3)): the lower-case functions of "
                "tessera.optim make transformations.",
            )
    inner = _in_order([member.inner if isinstance(member, Around) else member for member in members])
    wrappers = [wrap for member in members if isinstance(member, Around) for wrap in member.wrappers]
    return Around.of(inner, wrappers) if wrappers else inner


def _in_order(transformations: Sequence[GradientTransformation]) -> GradientTransformation:
    taken: set[str] = set()
    members: list[Member] = []
    for transformation in transformations:
        names = {}
        for name in transformation.state:
            names[name] = unused(name, taken)
            taken.add(names[name])
        if transformation is not identity():
            members.append(Member(transformation, names))
    return _composed(members)


def _composed(members: Sequence[Member]) -> GradientTransformation:
    state = {member.names[name]: make for member in members for name, make in member.transformation.state.items()}

    def update(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        updates = list(grads)
        new_states: list[State] = [{} for _ in params]
        for member in members:
            updates, changed = member.transformation.update(updates, [member.own(old) for old in states], params)
            for new_state, values in zip(new_states, changed, strict=True):
                new_state.update(member.outer(values))
        return updates, new_states

    def within(function: Callable[[GradientTransformation], GradientTransformation]) -> GradientTransformation:
        return _composed([Member(function(member.transformation), member.names) for member in members])

    depends = any(member.transformation.by_name for member in members)
    by_name = (lambda names: within(lambda inner: inner.named(names))) if depends else None
    return GradientTransformation(state, update, by_name, members, within=within)
