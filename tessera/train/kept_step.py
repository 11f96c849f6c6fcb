"""Keeps the training step of the last ``fit`` on its first optimizer: training on goes on without compiling again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tessera.backend.rewrite import Pass
from tessera.capture.train_step import TrainStep, train_step
from tessera.debug.shadow import Shadow
from tessera.nn.losses import LossFunction
from tessera.random.source import Source
from tessera.train.metrics import Metric

_PLACE = "_step_of_last_fit"  # state_dict, copy and pickle of an optimizer leave other attributes out


def kept_step(
    module: torch.nn.Module,
    loss: LossFunction | None,
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    clip_norm: float | None,
    accumulate: int,
    metrics: Mapping[str, Metric],
    targets: int = 1,
    loss_scale: Any = "auto",
    precision: Any = "fp32",
    memory_budget: Any = None,
    passes: Sequence[Pass] = (),
    tune: float | None = None,
    verify: Shadow | None = None,
    stabilise: bool = True,
    random: Source = "torch",
    fresh: bool = False,
) -> TrainStep:
    """The step of the last call for ``optimizers`` if that call was the same, else a new one; see ``train_step``.

    Args:
        fresh: make a new one in any case.
    """
    made_for: tuple[Any, ...] = (module, loss, list(optimizers), clip_norm, accumulate, dict(metrics))
    made_for += (targets, loss_scale, precision, memory_budget, passes, tune, verify, stabilise, random)
    kept_for, step = vars(optimizers[0]).get(_PLACE, (None, None))
    # With gradients accumulated over calls, a step may be halfway through an update.
    if step is None or kept_for != made_for or accumulate != 1 or fresh:
        step = train_step(
            module,
            loss,
            optimizers,
            clip_norm=clip_norm,
            accumulate=accumulate,
            metrics=metrics,
            check_finite=True,
            targets=targets,
            loss_scale=loss_scale,
            precision=precision,
            memory_budget=memory_budget,
            passes=passes,
            tune=tune,
            verify=verify,
            stabilise=stabilise,
            random=random,
        )
        vars(optimizers[0])[_PLACE] = (made_for, step)
    return step
