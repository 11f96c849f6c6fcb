"""Adafactor's step: second moments kept as a row and a column."""

from __future__ import annotations

import torch
from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.hyperparameters import Hyper, as_tensor, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.transformation import GradientTransformation, State, per_parameter, zero_count, zeros
from tessera.optim.transforms.with_learning_rate import LearningRate, with_learning_rate


@names_checked
def scale_by_adafactor(
    lr: LearningRate = 1e-2,
    beta2_decay: Hyper = -0.8,
    eps: tuple[Hyper | None, Hyper] = (None, 1e-3),
    d: Hyper = 1.0,
    weight_decay: Hyper = 0.0,
) -> GradientTransformation:
    """The whole step of Adafactor, downhill: its size follows the parameter's own.

        b = 1 - t^beta2_decay
        R = b * R + (1 - b) * mean over columns of g^2                row_var   [..., n, 1]
        C = b * C + (1 - b) * mean over rows of g^2                   col_var   [..., 1, m]
        V = R @ C / max(mean of R, eps1)                              a vector or number: V = b * V + (1 - b) * g^2
        U = g / max(sqrt(V), eps1)
        alpha = max(eps2, rms(p)) * min(lr, 1 / sqrt(t))
        update = -alpha * U / max(1, rms(U) / d) - lr * weight_decay * p

    Of a parameter of two dimensions and more, the last two are factored: memory for n + m numbers instead of n * m.

    Args:
        lr: learning rate or schedule: the most that ``1 / sqrt(t)`` may be.
        beta2_decay: at most 0; how the decay rate of the second moment comes to 1.
        eps: least root of the second moment (None: the dtype's own epsilon), and least root mean square of a parameter.
        d: updates whose root mean square is larger are scaled down to it; at least 1.
        weight_decay: decoupled.

    Raises:
        OptimizerError: a number out of its range, or a complex parameter.

    References:
        Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost, 2018, arXiv:1804.04235.

    Example:
        >>> tx, param = scale_by_adafactor(), torch.ones(2, 3)
        >>> {name: tuple(value.shape) for name, value in tx.init(param).items()}
        {'step': (), 'row_var': (2, 1), 'col_var': (1, 3)}
    """
    if not isinstance(eps, tuple | list) or len(eps) != 2:
        raise OptimizerError(
            f"eps={eps!r} was passed.",
            "eps is a pair: the least root of the second moment, or None, and the least size of a parameter.",
            "Write for example eps=(None, 1e-3).",
        )
    if isinstance(beta2_decay, int | float) and not -float("inf") < beta2_decay <= 0:
        raise OptimizerError(
            f"beta2_decay={beta2_decay!r} was passed.",
            "beta2_decay is a finite number of at most 0, or a 0-d tensor.",
            "Write for example beta2_decay=-0.8.",
        )
    if eps[0] is not None:
        check_number("eps[0]", eps[0], 1e-8)
    check_number("eps[1]", eps[1], 1e-3)
    check_number("d", d, 1.0, low=1.0)
    check_number("weight_decay", weight_decay, 0.01)

    def at_rate(rate: Hyper) -> GradientTransformation:
        def update(grad: Tensor, state: State, param: Tensor, count: Tensor, new_share: Tensor, slow: Tensor) -> Step:
            least = torch.finfo(param.dtype).eps if eps[0] is None else eps[0]
            size = torch.maximum(as_tensor(eps[1], param), _rms(param).to(torch.float64))
            alpha = size * torch.minimum(as_tensor(rate, slow), slow).to(size.device)
            new = {"step": count}
            if grad.ndim > 1:
                rows = (grad * grad).mean(-1, keepdim=True)
                columns = (grad * grad).mean(-2, keepdim=True)
                new["row_var"] = state["row_var"] + new_share * (rows - state["row_var"])
                new["col_var"] = state["col_var"] + new_share * (columns - state["col_var"])
                moment = new["row_var"] @ new["col_var"] / _at_least(new["row_var"].mean(-2, keepdim=True), least)
            else:
                moment = new["variance"] = state["variance"] + new_share * (grad * grad - state["variance"])
            scaled = grad * _at_least(moment, least * least).rsqrt()
            clipped = torch.clamp(_rms(scaled).to(torch.float64) / d, min=1.0)
            return -(alpha / clipped) * scaled - rate * weight_decay * param, new

        return per_parameter(update, state, of_count)

    def of_count(count: Tensor) -> tuple[Tensor, ...]:
        step = count.to(torch.float64) + 1
        return count + 1, step**beta2_decay, step.rsqrt()

    state = {"step": zero_count, "row_var": _row, "col_var": _column, "variance": _vector}
    return with_learning_rate(lr, at_rate)


Step = tuple[Tensor, State]


def _at_least(value: Tensor, least: Hyper) -> Tensor:
    return torch.maximum(value, as_tensor(least, value).to(value.dtype))


def _rms(value: Tensor) -> Tensor:
    """0-d; 0 for a tensor without numbers."""
    return torch.linalg.vector_norm(value) / max(value.numel(), 1) ** 0.5


def _row(param: Tensor) -> Tensor | None:
    _refuse_complex(param)
    return param.new_zeros((*param.shape[:-1], 1)) if param.ndim > 1 else None


def _column(param: Tensor) -> Tensor | None:
    return param.new_zeros((*param.shape[:-2], 1, param.shape[-1])) if param.ndim > 1 else None


def _vector(param: Tensor) -> Tensor | None:
    return zeros(param) if param.ndim < 2 else None


def _refuse_complex(param: Tensor) -> None:
    if param.is_complex():
        raise OptimizerError(
            f"A complex parameter of shape {list(param.shape)} was passed to Adafactor.",
            "Adafactor trains real parameters: the row and column of a complex one mean nothing.",
            "Train it with Adam, for example by partition([(torch.is_complex, adam(1e-3)), ...]).",
        )
