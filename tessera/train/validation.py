"""Loss and metrics on held-out data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from tessera.errors import SettingError, TesseraError
from tessera.nn.losses import LossFunction, WeightedLoss
from tessera.train.batches import Batch
from tessera.train.labels import LabelCheck
from tessera.train.mean import Mean
from tessera.train.metrics import AnyMetric, functions, is_stateful
from tessera.train.modes import mode
from tessera.train.source import Source


def validate(
    module: torch.nn.Module,
    loss: LossFunction,
    metrics: Mapping[str, AnyMetric],
    source: Source,
) -> dict[str, float]:
    """Mean ``loss`` and metrics of one pass over ``source``; see ``measure``."""
    with mode(module, training=False), torch.no_grad():
        return measure(module, loss, metrics, source.batches())


def measure(
    module: torch.nn.Module, loss: LossFunction, metrics: Mapping[str, AnyMetric], batches: Iterable[Batch]
) -> dict[str, float]:
    """Mean ``loss`` and metrics of ``batches``, with ``module`` in the mode that it is in.

    Losses and metrics by name and torch's own losses are averaged over what they count: samples, numbers or labels that
    are not ignored, whatever batch they are in. The means of others count by the samples of their batch. Sample weights
    weigh the loss; metrics count all samples alike. A metric with state begins anew, and keeps the state that its
    result comes from.

    Raises:
        LabelError: the loss cannot take the labels.
        LossError, SettingError: the loss or a metric is not one number.
    """
    stateful = {name: metric for name, metric in metrics.items() if is_stateful(metric)}
    averages = [Mean("loss", loss), *(Mean(name, function) for name, function in functions(metrics).items())]
    for metric in stateful.values():
        metric.reset()
    for number, batch in enumerate(batches, 1):
        prediction = module(*batch.positional, **batch.named)
        try:
            for mean in averages:
                mean.add(prediction, batch)
        except (IndexError, RuntimeError) as error:
            if not isinstance(error, TesseraError):
                LabelCheck(module, loss.loss if isinstance(loss, WeightedLoss) else loss).explain(batch, number)
            raise
        for metric in stateful.values():
            if number == 1 and isinstance(metric, torch.nn.Module):
                metric.to(batch.inputs[0].device)
            metric.update(prediction, batch.target)
    results = {mean.name: mean.value() for mean in averages}
    for name, metric in stateful.items():
        _add(results, name, metric.compute())
    return results


def _add(results: dict[str, float], name: str, computed: Any) -> None:
    """Add what a metric with state has computed."""
    if isinstance(computed, Mapping):
        for part, value in computed.items():
            _add(results, str(part), value)
        return
    numbers = torch.as_tensor(computed)
    if numbers.numel() != 1 or name in results:
        raise SettingError(
            f"The metric {name!r} computed a tensor of shape {list(numbers.shape)}."
            if numbers.numel() != 1
            else f"Two metrics computed a result of the name {name!r}.",
            "Every result is one number with a name of its own.",
            "Choose an average over the classes, as in F1Score(..., average='macro'), or another name.",
        )
    results[name] = float(numbers)
