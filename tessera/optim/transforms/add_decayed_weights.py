"""Weight decay as a transformation."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, as_tensor, check_number, is_zero
from tessera.optim.keywords import names_checked
from tessera.optim.partition import Mask, masked
from tessera.optim.transformation import GradientTransformation, identity, stateless


@names_checked
def add_decayed_weights(weight_decay: Hyper, mask: Mask | None = None) -> GradientTransformation:
    """Add ``weight_decay * parameter`` to each update.

    Its place in the chain is its meaning: before the moments it is an L2 penalty (SGD, Adam), after them it is
    decoupled decay (AdamW).

    Args:
        weight_decay: at least 0; the plain number 0 adds nothing at all.
        mask: only the parameters it fits decay: a regular expression found in the name, or a function of the
            parameter such as ``lambda p: p.ndim >= 2``.

    Raises:
        OptimizerError: ``weight_decay`` is negative or not finite.

    References:
        Loshchilov and Hutter, Decoupled weight decay regularization, 2019, arXiv:1711.05101.

    Example:
        >>> import torch
        >>> updates, _ = add_decayed_weights(0.1).update([torch.tensor(1.0)], [{}], [torch.tensor(2.0)])
        >>> updates
        [tensor(1.2000)]
    """
    check_number("weight_decay", weight_decay, 0.01)
    if mask is not None:
        return masked(add_decayed_weights(weight_decay), mask)
    if isinstance(weight_decay, torch.SymFloat):
        return stateless(lambda grad, param: _decayed(grad, param, weight_decay))
    if is_zero(weight_decay):
        return identity()
    return stateless(lambda grad, param: grad + weight_decay * param)


def _decayed(grad: Tensor, param: Tensor, weight_decay: Hyper) -> Tensor:
    # A recording holds for every value, 0 too, which adds nothing even to a parameter that is infinite.
    return torch.where(as_tensor(weight_decay, param) != 0, grad + weight_decay * param, grad)
