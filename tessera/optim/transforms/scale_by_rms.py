"""RMSProp's direction: the gradient over its root mean square."""

from __future__ import annotations

from torch import Tensor

from tessera.optim.hyperparameters import Hyper, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, zero_count, zeros


@names_checked
def scale_by_rms(alpha: Hyper = 0.99, eps: Hyper = 1e-8, *, centered: bool = False) -> GradientTransformation:
    """Divide each gradient by the root of the running mean of its square.

        s_t = alpha * s_(t-1) + (1 - alpha) * g_t^2       square_avg
        a_t = alpha * a_(t-1) + (1 - alpha) * g_t         grad_avg, when centered
        update = g_t / (sqrt(s_t) + eps)                  or, centered, g_t / (sqrt(s_t - a_t^2) + eps)

    ``eps`` stands outside the root, as in torch; Optax puts it inside unless told otherwise. The count ``step`` is
    not used here: torch's RMSprop keeps one, and a state that lacks it does not load there.

    Raises:
        OptimizerError: ``alpha`` or ``eps`` is negative or not finite.

    References:
        Tieleman and Hinton, Lecture 6.5 - rmsprop, Neural networks for machine learning, 2012.
        Graves, Generating sequences with recurrent neural networks, 2013, arXiv:1308.0850 (centered).

    Example:
        >>> import torch
        >>> tx, param = scale_by_rms(alpha=0.75), torch.tensor([1.0, -1.0])
        >>> tx.update([torch.tensor([20.0, -0.01])], [tx.init(param)], [param])[0]
        [tensor([ 2.0000, -2.0000])]
    """
    check_number("alpha", alpha, 0.99)
    check_number("eps", eps, 1e-8)

    def update(grad: Tensor, state: State, _: Tensor) -> tuple[Tensor, State]:
        new = {
            "step": state["step"] + 1,
            "square_avg": alpha * state["square_avg"] + (1 - alpha) * grad * grad,
        }
        variance = new["square_avg"]
        if centered:
            new["grad_avg"] = state["grad_avg"] + (1 - alpha) * (grad - state["grad_avg"])
            variance = variance - new["grad_avg"] * new["grad_avg"]
        return grad / (variance.sqrt() + eps), new

    state = {"step": zero_count, "square_avg": zeros}
    return per_parameter(update, state | ({"grad_avg": zeros} if centered else {}))
