"""Loss and metrics on held-out data."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tessera.nn.losses import LossFunction
from tessera.train.metrics import Metric
from tessera.train.modes import mode
from tessera.train.source import Source


def validate(
    module: torch.nn.Module,
    loss: LossFunction,
    metrics: Mapping[str, Metric],
    source: Source,
) -> dict[str, float]:
    """Mean ``loss`` and metrics of one pass in eval mode without gradients, every batch weighted by its samples."""
    totals: dict[str, torch.Tensor] = {}
    samples = 0
    with mode(module, training=False), torch.no_grad():
        for batch in source.batches():
            prediction = module(*batch.positional, **batch.named)
            for name, measure in {"loss": loss, **metrics}.items():
                value = measure(prediction, batch.target).double() * batch.size
                totals[name] = totals[name] + value if name in totals else value
            samples += batch.size
    return {name: total.item() / samples for name, total in totals.items()}
