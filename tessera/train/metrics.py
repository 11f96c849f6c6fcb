"""Metrics: functions of (prediction, target) that are averaged over an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from tessera.errors import LabelError, SettingError

Metric = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def accuracy(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Share of labels that got the highest score, a 0-d tensor.

    Args:
        prediction: ``[batch, classes, ...]`` or ``[batch, ..., classes]``.
        target: class labels, ``[batch, ...]``, any whole-number dtype.

    Raises:
        LabelError: the labels are not class labels for such a prediction.
    """
    scores = list(prediction.shape)
    if not target.is_floating_point():
        for dim in (1, -1) if prediction.dim() > 1 else (0,):
            if scores[:dim] + scores[dim:][1:] == list(target.shape):
                return (prediction.argmax(dim) == target).float().mean()
    raise LabelError(
        f"The metric 'accuracy' got a prediction of shape {scores} and {target.dtype} labels of shape "
        f"{list(target.shape)}.",
        "It compares scores [batch, classes] with whole-number class labels [batch].",
        "Write your own for other labels: metrics={'accuracy': lambda prediction, target: ...}.",
    )


_NAMED: dict[str, Metric] = {"accuracy": accuracy}


def resolve_metrics(metrics: str | Mapping[str, Metric] | None) -> dict[str, Metric]:
    """The metrics by name.

    Raises:
        SettingError: there is no metric of that name.
    """
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        return dict(metrics)
    if metrics in _NAMED:
        return {metrics: _NAMED[metrics]}
    raise SettingError(
        f"metrics={metrics!r} was passed.",
        f"A metric is one of the names {', '.join(map(repr, _NAMED))} or a dict from names to functions.",
        "Write for example metrics={'error': lambda prediction, target: (prediction - target).abs().mean()}.",
    )
