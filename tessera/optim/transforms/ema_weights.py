"""A running mean of the weights, to evaluate with."""

from __future__ import annotations

from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, wide_copy


@names_checked
def ema_weights(decay: Hyper = 0.999) -> GradientTransformation:
    """Keep an exponential moving average of the parameters; updates pass through.

        ema = decay * ema + (1 - decay) * (p + u)                        u: the chain's update; ema = p at first

    It belongs at the end of a chain, for it looks at the update that is made. ``optimizer.averaged_weights()`` puts
    the average into the model for evaluation and export.

    Args:
        decay: in [0, 1); the average is over about ``1 / (1 - decay)`` updates.

    Raises:
        OptimizerError: ``decay`` is out of its range.

    References:
        Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992.

    Example:
        >>> import torch
        >>> tx, param = ema_weights(0.75), torch.tensor(0.0)
        >>> tx.update([torch.tensor(4.0)], [tx.init(param)], [param])
        ([tensor(4.)], [{'ema': tensor(1.)}])
    """
    check_number("decay", decay, 0.999, below=1.0)

    def update(step: Tensor, state: State, param: Tensor) -> tuple[Tensor, State]:
        return step, {"ema": state["ema"] + (1 - decay) * (param + step - state["ema"])}

    alone = per_parameter(update, {"ema": wide_copy})
    return GradientTransformation(alone.state, alone.update, average=lambda state, _: state["ema"])
