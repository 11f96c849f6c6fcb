"""Lookahead: k steps forward, one step back."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps
from tessera.optim.transformation import GradientTransformation, State, long_count, per_parameter, wide_copy


@names_checked
def lookahead(sync_period: int = 5, slow_step_size: Hyper = 0.5) -> GradientTransformation:
    """Every ``sync_period`` updates the parameters go part of the way from where they last met to where they are.

        p = p + u                                                         u: the chain's update
        every sync_period updates:  slow = slow + slow_step_size * (p - slow);  p = slow

    It belongs at the end of a chain, for it looks at the update that is made. ``optimizer.averaged_weights()`` has
    the slow weights at any time.

    Args:
        sync_period: updates between two meetings, at least 1.
        slow_step_size: in (0, 1].

    Raises:
        OptimizerError: an argument out of its range.

    References:
        Zhang, Lucas, Hinton and Ba, Lookahead optimizer: k steps forward, 1 step back, 2019, arXiv:1907.08610.

    Example:
        >>> from tessera.optim import chain, scale
        >>> tx, param = chain(scale(-1.0), lookahead(1, 0.5)), torch.tensor(0.0)
        >>> tx.update([torch.tensor(4.0)], [tx.init(param)], [param])[0]
        [tensor(-2.)]
    """
    check_steps("sync_period", sync_period, least=1)
    check_number("slow_step_size", slow_step_size, 0.5, positive=True)

    def of_count(count: Tensor) -> tuple[Tensor, ...]:
        return count + 1, torch.remainder(count + 1, sync_period) == 0

    def update(step: Tensor, state: State, param: Tensor, count: Tensor, meets: Tensor) -> tuple[Tensor, State]:
        met = state["slow"] + slow_step_size * (param + step - state["slow"])
        slow = torch.where(meets, met, state["slow"])
        return torch.where(meets, met - param, step), {"step": count, "slow": slow}

    alone = per_parameter(update, {"step": long_count, "slow": wide_copy}, of_count)
    return GradientTransformation(alone.state, alone.update, average=lambda state, _: state["slow"])
