"""Sharpness-aware minimisation inside the program: two calls make one step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.optim.around import Around
from tessera.optim.gate import Decision, gated
from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import State, StateInit, identity, latest, long_count


def ascent(grads: Sequence[Tensor], params: Sequence[Tensor], rho: Hyper, *, adaptive: bool = False) -> list[Tensor]:
    """The way from the parameters to where the loss is worst within ``rho``, by the first derivative.

        e = rho * g / |g|                     adaptive:  e = rho * p^2 * g / |p * g|

    ``|g|`` is the norm of all gradients as one vector; 1e-12 is added to it.

    References:
        Foret, Kleiner, Mobahi and Neyshabur, Sharpness-aware minimization, 2021, arXiv:2010.01412.
        Kwon, Kim, Park and Choi, ASAM, 2021, arXiv:2102.11600 (adaptive).
    """
    if not grads:
        return []
    scaled = [grad * param.abs() if adaptive else grad for grad, param in zip(grads, params, strict=True)]
    norms = [torch.linalg.vector_norm(grad).to(grads[0].device) for grad in scaled]
    factor = rho / (torch.linalg.vector_norm(torch.stack(norms)) + 1e-12)
    return [
        ((grad * param.abs() if adaptive else grad) * factor.to(grad.device)).to(param.dtype)
        for grad, param in zip(scaled, params, strict=True)
    ]


@names_checked
def sharpness_aware(rho: Hyper = 0.05, *, adaptive: bool = False) -> Around:
    """Two calls on the same batch make one step: to the worst point nearby, and down by the gradient found there.

        odd calls    p = p0 + e(g)                                 e of length rho uphill, see `ascent`
        even calls   p = p0 + the chain's update by g = gradient(p0 + e)

    It acts on the whole chain it stands in, wherever it stands, and the whole of it is inside a compiled step: call
    the step twice with each batch. Between the two calls the parameters are the shifted ones; save and evaluate after
    even calls, or inside ``optimizer.averaged_weights()``, which has the others at any time. `SAM` is the optimizer
    that evaluates the loss twice in one step.

    Args:
        rho: how far up, in the unit of the parameters.
        adaptive: measure that distance relative to each parameter.

    Raises:
        OptimizerError: ``rho`` is negative or not finite.

    References:
        Foret, Kleiner, Mobahi and Neyshabur, Sharpness-aware minimization, 2021, arXiv:2010.01412.
        Kwon, Kim, Park and Choi, ASAM, 2021, arXiv:2102.11600 (adaptive).

    Example:
        >>> from tessera.optim import Optimizer, chain, sgd
        >>> weight = torch.nn.Parameter(torch.tensor(1.0))
        >>> optimizer = Optimizer([weight], chain(sgd(0.1), sharpness_aware(0.5)))
        >>> for _ in range(2):
        ...     loss = optimizer.step(weight.square())
        >>> weight.data
        tensor(0.7000)
    """
    check_number("rho", rho, 0.05)

    def decide(grads: Sequence[Tensor], states: Sequence[State], params: Sequence[Tensor]) -> Decision:
        call = latest([state["call"] for state in states]) + 1
        second = torch.remainder(call, 2) == 0
        origins = [
            torch.where(second.to(param.device), state["origin"], param)
            for state, param in zip(states, params, strict=True)
        ]
        new = [{"origin": at, "call": call.to(state["call"])} for at, state in zip(origins, states, strict=True)]
        return Decision(second, grads, new, origins, ascent(grads, params, rho, adaptive=adaptive))

    own: dict[str, StateInit] = {"origin": torch.clone, "call": long_count}
    return Around.of(identity(), [lambda inner: gated(inner, own, decide, _unshifted)])


def _unshifted(state: State, param: Tensor) -> Tensor:
    return torch.where(torch.remainder(state["call"], 2) == 1, state["origin"], param)
