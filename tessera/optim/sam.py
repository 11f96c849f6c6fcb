"""SAM: sharpness-aware minimisation with both gradients in one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tessera.errors import LossError
from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.optimizer import Optimizer
from tessera.optim.parameter_groups import Parameters
from tessera.optim.transformation import GradientTransformation
from tessera.optim.transforms.sharpness_aware import ascent


class SAM(Optimizer):
    """Steps by the gradient at the worst point within ``rho``, so that a minimum is flat around.

        e = rho * g / |g|                     adaptive:  e = rho * p^2 * g / |p * g|
        p = p + the transformation's update by gradient(p + e)

    ``step`` takes a function that computes gradients and returns the loss, and calls it twice; `tessera.train_step`
    and `tessera.fit` make both gradients and the update one program.

    Args:
        params: a module, parameters, or groups of parameters.
        transformation: what makes an update of the second gradient.
        rho: how far up, in the unit of the parameters.
        adaptive: measure that distance relative to each parameter.

    Raises:
        OptimizerError: ``rho`` is negative or not finite; see `Optimizer` for the others.

    References:
        Foret, Kleiner, Mobahi and Neyshabur, Sharpness-aware minimization, 2021, arXiv:2010.01412.
        Kwon, Kim, Park and Choi, ASAM, 2021, arXiv:2102.11600 (adaptive).

    Example:
        >>> from tessera.optim import sgd
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> optimizer = SAM([weight], sgd(0.1), rho=0.5)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = weight.square()
        ...     loss.backward()
        ...     return loss
        >>> _ = optimizer.step(closure)
        >>> weight.data
        tensor(0.7000)
    """

    def __init__(
        self, params: Parameters, transformation: GradientTransformation, rho: Hyper = 0.05, *, adaptive: bool = False
    ) -> None:
        check_number("rho", rho, 0.05)
        super().__init__(params, transformation, {"rho": rho, "adaptive": adaptive})

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # it cannot do without
        """Update the parameters once.

        Args:
            closure: computes gradients and returns the loss; called twice, at the parameters and above them.

        Returns:
            The loss at the parameters.

        Raises:
            LossError: anything but a function.
        """
        if isinstance(closure, Tensor) or not callable(closure):
            raise LossError(
                f"SAM.step() was given {'a loss' if isinstance(closure, Tensor) else repr(closure)}.",
                "SAM evaluates the loss twice, at the parameters and at the worst point nearby.",
                "Pass a function that clears gradients, computes them and returns the loss; or call "
                "train_step(model, loss, optimizer).",
            )
        with torch.enable_grad():
            loss = closure()
        moved = self.ascend()
        try:
            with torch.enable_grad():
                closure()
        finally:
            with torch.no_grad():
                for param, origin in moved:
                    param.copy_(origin)
        self.update_parameters()
        return loss

    @torch.no_grad()
    def ascend(self) -> list[tuple[Tensor, Tensor]]:
        """Move the parameters to the worst point nearby, by their gradients; returns each with where it was."""
        group = self.param_groups[0]
        params = [param for each in self.param_groups for param in each["params"] if param.grad is not None]
        ways = ascent([p.grad for p in params], params, group["rho"], adaptive=group["adaptive"])
        origins = [param.clone() for param in params]
        for param, way in zip(params, ways, strict=True):
            param.add_(way)
        return list(zip(params, origins, strict=True))
