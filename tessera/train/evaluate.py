"""``evaluate``: the loss and the metrics of a model on data that it is not trained on."""

from __future__ import annotations

import torch

from tessera.nn.losses import LossFunction, own_loss, resolve_loss
from tessera.train.batches import BatchReader
from tessera.train.inference import inference
from tessera.train.metrics import Metrics, resolve_metrics
from tessera.train.progress_over import progress_over
from tessera.train.settings import check_counts, check_measures
from tessera.train.source import source
from tessera.train.validation import measure


def evaluate(
    module: torch.nn.Module,
    data: object,
    *,
    loss: str | LossFunction | None = "auto",
    metrics: Metrics = None,
    sample_weight: object = None,
    optimizer: torch.optim.Optimizer | None = None,
    batch_size: int = 32,
    progress: bool | None = None,
) -> dict[str, float]:
    """Mean loss and metrics of ``module`` on ``data``, in eval mode and without gradients.

    Losses and metrics by name and torch's own losses are exact means over all that they count (samples, numbers, labels
    that are not ignored), metrics with state are computed over all of the data at once; the means of other functions
    count by the samples of their batch. Long evaluations gain by a compiled module: ``evaluate(tessera.compile(model),
    data)``; smaller last batches then compile once more, whatever their size (one sample once again).

    Args:
        module: any ``torch.nn.Module``; its modes are put back after.
        data: as for ``tessera.fit``; taken in its own order.
        loss: likewise.
        metrics: likewise: names, functions ``(prediction, target) -> 0-d tensor``, or objects with ``update``,
            ``compute`` and ``reset`` such as torchmetrics has. These begin anew, move to the model's device, and keep
            the state of this evaluation.
        sample_weight: what each sample of data in memory counts in the loss, ``[samples]``; batches may bring their own
            as ``sample_weight``. Metrics count all samples alike.
        optimizer: measure with the weights that this optimizer averages, as ``ema_weights`` and ``lookahead`` do; None
            measures the parameters as they are.
        batch_size: for data in memory and Datasets.
        progress: True shows it, False does not, None shows it on a terminal.

    Returns:
        ``"loss"`` and every metric by name.

    Raises:
        BatchError, LabelError, EmptyDatasetError: the data cannot be measured.
        LossError, SettingError: the loss or a metric is none, or is not one number.
    """
    check_counts(batch_size=batch_size)
    measured = resolve_metrics(metrics)
    check_measures(loss, measured)
    function = own_loss if loss is None else resolve_loss(loss)
    reader = BatchReader.of(module, whole=loss is None)
    found = source(data, reader, "evaluation data", batch_size, shuffle=False, sample_weight=sample_weight)
    with (
        inference(module, optimizer),
        progress_over(found.batches(), found.steps, progress, name="evaluate") as batches,
    ):
        return measure(module, function, measured, batches)
