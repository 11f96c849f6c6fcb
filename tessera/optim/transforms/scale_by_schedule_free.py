"""Schedule-free AdamW's step: an average of the iterates in place of a schedule."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tessera.optim.hyperparameters import Hyper, as_tensor, check_betas, check_number
from tessera.optim.keywords import names_checked
from tessera.optim.schedules.schedule import check_steps
from tessera.optim.transformation import (
    GradientTransformation,
    Member,
    State,
    StateInit,
    long_count,
    per_parameter,
    wide_copy,
    zero_count,
    zeros,
)
from tessera.optim.transforms.with_learning_rate import LearningRate, with_learning_rate


@names_checked
def scale_by_schedule_free(
    lr: LearningRate = 0.0025,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    warmup_steps: int = 0,
    r: Hyper = 0.0,
    weight_lr_power: Hyper = 2.0,
) -> GradientTransformation:
    """The whole step of schedule-free AdamW, downhill. The parameters are ``y``, where gradients are taken.

        lr_t = lr * min(1, t / warmup_steps)          w_t = t^r * max(lr_1 ... lr_t)^weight_lr_power
        c_t = w_t / (w_1 + ... + w_t)
        v_t = beta2 * v_(t-1) + (1 - beta2) * g_t^2                                   exp_avg_sq
        u_t = g_t / (sqrt(v_t / (1 - beta2^t)) + eps) + weight_decay * y_(t-1)
        z_t = z_(t-1) - lr_t * u_t                                                    z
        x_t = (1 - c_t) * x_(t-1) + c_t * z_t                                         the weights to evaluate with
        y_t = (1 - beta1) * z_t + beta1 * x_t

    ``x`` is not kept: it follows from ``y`` and ``z``. ``optimizer.averaged_weights()`` puts it into the model for
    evaluation and export.

    Args:
        lr: learning rate; a schedule is allowed and meant for warm-up alone.
        betas: weight of the average in ``y``, above 0, and decay rate of the second moment.
        eps: added to the root.
        weight_decay: decoupled, at ``y``.
        warmup_steps: steps of linear warm-up; 0 for none.
        r: power of the step in the weight of the average.
        weight_lr_power: power of the largest learning rate so far in that weight.

    Raises:
        OptimizerError: a number out of its range.

    References:
        Defazio et al., The road less scheduled, 2024, arXiv:2405.15682.

    Example:
        >>> tx, param = scale_by_schedule_free(0.1), torch.tensor([1.0, -1.0])
        >>> tx.update([torch.tensor([20.0, -0.01])], [tx.init(param)], [param])[0]
        [tensor([-0.1000,  0.1000])]
    """
    check_betas(betas, (0.9, 0.999))
    check_number("betas[0]", betas[0], 0.9, below=1.0, positive=True)
    for name, value, example in (
        ("eps", eps, 1e-8),
        ("weight_decay", weight_decay, 0.01),
        ("r", r, 0.0),
        ("weight_lr_power", weight_lr_power, 2.0),
    ):
        check_number(name, value, example)
    check_steps("warmup_steps", warmup_steps)
    beta1, beta2 = betas

    def at_rate(lr: Hyper) -> GradientTransformation:
        def update(grad: Tensor, state: State, param: Tensor) -> tuple[Tensor, State]:
            count = state["step"] + 1
            step = count.to(torch.float64)
            rate = as_tensor(lr, step) * torch.clamp(step / max(warmup_steps, 1), max=1.0)
            largest = torch.maximum(state["lr_max"], rate)
            weight = step**r * largest**weight_lr_power
            total = state["weight_sum"] + weight
            share = torch.where(total > 0, weight / total, torch.zeros_like(total))
            square = beta2 * state["exp_avg_sq"] + (1 - beta2) * grad * grad
            scaled = grad / ((square / (1 - beta2**step)).sqrt() + eps) + weight_decay * param
            new = {
                "step": count,
                "lr_max": largest,
                "weight_sum": total,
                "exp_avg_sq": square,
                "z": state["z"] - rate * scaled,
            }
            return share * (state["z"] - param) + rate * (beta1 * (1 - share) - 1) * scaled, new

        return per_parameter(update, state)

    state: dict[str, StateInit] = {
        "step": zero_count,
        "lr_max": long_count,
        "weight_sum": long_count,
        "exp_avg_sq": zeros,
        "z": wide_copy,
    }
    whole = with_learning_rate(lr, at_rate)
    names = {name: name for name in state}
    average = GradientTransformation(state, whole.update, average=lambda old, y: old["z"] + (y - old["z"]) / beta1)
    return replace(whole, members=(*whole.members, Member(average, names)))
