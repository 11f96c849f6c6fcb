"""Gradients of several micro-batches for one update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.optim.around import Around
from tessera.optim.gate import Decision, gated
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps
from tessera.optim.transformation import State, identity, latest, long_count, wide_zeros


@names_checked
def accumulate(steps: int) -> Around:
    """Update once in ``steps`` calls, by the mean of their gradients; between updates nothing moves.

        sum = sum + g
        at every call whose number ``steps`` divides:  update by the chain of sum / steps;  sum = 0

    It acts on the whole chain it stands in, wherever it stands: moments, schedules and averages of weights advance at
    updates only. A parameter without gradient in a call adds nothing; one without gradient in the last call of an
    update waits for the next update.

    Each call costs the update's arithmetic, whose result is thrown away between updates. `tessera.train_step` and
    `fit` take ``accumulate=``, which compiles a second program for the calls between, without that arithmetic.

    Args:
        steps: calls to an update, at least 1.

    Raises:
        OptimizerError: ``steps`` is not a whole number of at least 1.

    Example:
        >>> from tessera.optim import chain, scale
        >>> tx, param = chain(scale(-1.0), accumulate(2)), torch.tensor(0.0)
        >>> first, state = tx.update([torch.tensor(1.0)], [tx.init(param)], [param])
        >>> second, state = tx.update([torch.tensor(3.0)], state, [param])
        >>> first, second
        ([tensor(0.)], [tensor(-2.)])
    """
    check_steps("steps", steps, least=1)

    def decide(grads: Sequence[Tensor], states: Sequence[State], _: Sequence[Tensor]) -> Decision:
        call = latest([state["micro_step"] for state in states]) + 1
        due = torch.remainder(call, steps) == 0
        sums = [state["accumulated"] + grad for grad, state in zip(grads, states, strict=True)]
        new = [
            {
                "accumulated": torch.where(due.to(total.device), total.new_zeros(()), total),
                "micro_step": call.to(state["micro_step"]),
            }
            for total, state in zip(sums, states, strict=True)
        ]
        means = [(total / steps).to(grad.dtype) for total, grad in zip(sums, grads, strict=True)]
        return Decision(due, means, new)

    own = {"accumulated": wide_zeros, "micro_step": long_count}
    return Around.of(identity(), [lambda inner: gated(inner, own, decide)])
