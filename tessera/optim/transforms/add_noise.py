"""Noise on the gradients."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tessera.optim.counter_random import random_normal
from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, latest, long_count


@names_checked
def add_noise(eta: Hyper, gamma: Hyper = 0.55, seed: int = 0) -> GradientTransformation:
    """Add normal noise whose variance falls with the step.

        g_t = g_t + N(0, eta / (1 + t)^gamma)                             t = 0 at the first update

    The noise is a function of the seed, the count of updates, the parameter's position and the element's: the same
    eagerly and compiled, and after a resume; torch's random stream is left alone.

    Args:
        eta: variance of the first step's noise, in the unit of the gradients squared.
        gamma: how quickly it falls.
        seed: other seeds make other noise.

    Raises:
        OptimizerError: a number is negative or not finite.

    References:
        Neelakantan et al., Adding gradient noise improves learning for very deep networks, 2015, arXiv:1511.06807.

    Example:
        >>> import torch
        >>> tx, param = add_noise(0.0), torch.tensor(1.0)
        >>> tx.update([torch.tensor(2.0)], [tx.init(param)], [param])
        ([tensor(2.)], [{'step': tensor(1., dtype=torch.float64)}])
    """
    check_number("eta", eta, 0.01)
    check_number("gamma", gamma, 0.55)

    def update(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        if not grads:
            return [], []
        count = latest([state["step"] for state in states])
        deviation = (eta / (1 + count) ** gamma) ** 0.5
        noisy = [
            grad + (deviation.to(grad.device) * random_normal(grad, seed, position, count)).to(param.dtype)
            for position, (grad, param) in enumerate(zip(grads, params, strict=True))
        ]
        return noisy, [{"step": (count + 1).to(state["step"])} for state in states]

    return GradientTransformation({"step": long_count}, update)
