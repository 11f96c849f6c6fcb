"""Steps whose gradients are not finite are left out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.optim.around import Around
from tessera.optim.gate import Decision, gated
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps
from tessera.optim.transformation import State, identity, latest, zero_count


@names_checked
def skip_if_not_finite(max_consecutive: int | None = None) -> Around:
    """Leave parameters and state as they are when a number of any gradient is NaN or infinite.

    It acts on the whole chain it stands in, wherever it stands. The state counts what was left out: ``skipped`` in
    all, ``skipped_in_a_row`` since the last update.

    Args:
        max_consecutive: so many steps in a row are left out; the next one is taken as it is, so that a model that
            diverged for good shows it. None: there is no limit.

    Raises:
        OptimizerError: ``max_consecutive`` is not a whole number of at least 0.

    References:
        Micikevicius et al., Mixed precision training, 2018, arXiv:1710.03740.

    Example:
        >>> from tessera.optim import chain, scale
        >>> tx, param = chain(scale(-1.0), skip_if_not_finite()), torch.tensor(0.0)
        >>> updates, (state,) = tx.update([torch.tensor(float("nan"))], [tx.init(param)], [param])
        >>> updates, state["skipped"]
        ([tensor(0.)], tensor(1.))
    """
    if max_consecutive is not None:
        check_steps("max_consecutive", max_consecutive)

    def decide(grads: Sequence[Tensor], states: Sequence[State], _: Sequence[Tensor]) -> Decision:
        device = grads[0].device
        finite = torch.stack([torch.isfinite(grad).all().to(device) for grad in grads]).all()
        before = latest([state["skipped_in_a_row"] for state in states])
        row = torch.where(finite, torch.zeros_like(before), before + 1)
        taken = finite if max_consecutive is None else finite | (row > max_consecutive)
        new = [
            {
                "skipped_in_a_row": row.to(state["skipped_in_a_row"]),
                "skipped": state["skipped"] + (~taken).to(state["skipped"]),
            }
            for state in states
        ]
        return Decision(taken, grads, new)

    own = {"skipped_in_a_row": zero_count, "skipped": zero_count}
    return Around.of(identity(), [lambda inner: gated(inner, own, decide)])
