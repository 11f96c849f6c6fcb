"""Clip all gradients together by their common norm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State


@names_checked
def clip_by_global_norm(max_norm: Hyper) -> GradientTransformation:
    """Scale all gradients by one factor so that their common 2-norm is at most ``max_norm``.

    With ``|g|`` the norm of all gradients as one vector, each becomes ``g * min(1, max_norm / (|g| + 1e-6))``: the
    formula of `torch.nn.utils.clip_grad_norm_`.

    Args:
        max_norm: at least 0, in the unit of the gradients.

    Raises:
        OptimizerError: ``max_norm`` is negative or not finite.

    References:
        Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, 2013, arXiv:1211.5063.

    Example:
        >>> import torch
        >>> updates, _ = clip_by_global_norm(1.0).update([torch.tensor([3.0, 4.0])], [{}], [torch.zeros(2)])
        >>> updates
        [tensor([0.6000, 0.8000])]
    """
    check_number("max_norm", max_norm, 1.0)

    def update(
        grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[State]]:
        if not grads:
            return [], []
        device = grads[0].device
        norms = [torch.linalg.vector_norm(grad).to(device) for grad in grads]
        factor = torch.clamp(max_norm / (torch.linalg.vector_norm(torch.stack(norms)) + 1e-6), max=1.0)
        updates = [(grad * factor.to(grad.device)).to(param.dtype) for grad, param in zip(grads, params, strict=True)]
        return updates, [{} for _ in states]

    return GradientTransformation({}, update)
