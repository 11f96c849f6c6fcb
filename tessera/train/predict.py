"""``predict``: what a model answers to data, sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera.train.inference import inference
from tessera.train.inputs import InputReader, as_inputs
from tessera.train.outputs import join, on_host
from tessera.train.progress_over import progress_over
from tessera.train.settings import check_counts
from tessera.train.source import source


def predict(
    module: torch.nn.Module,
    data: object,
    *,
    keep: Callable[[Any], Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    batch_size: int = 32,
    progress: bool | None = None,
) -> Any:
    """What ``module`` answers to ``data``, in eval mode and without gradients.

    Data is what ``tessera.fit`` takes, or the same without labels. Labels are left out, and are told apart so: of a
    tuple the last part is labels unless ``forward`` cannot be called without it; of a dict they are what ``fit`` takes
    for labels (``labels``, ``target``, ...) unless ``forward`` requires an argument of that name; a tensor or an array
    is inputs. What is optional in ``forward`` is passed by a dict, so that it is no label.

    Args:
        module: any ``torch.nn.Module``; its modes are put back after.
        data: in memory an array, a tensor, a list of numbers, or a tuple or dict of them, each ``[samples, ...]``; or a
            Dataset, a DataLoader or any iterable of batches of these.
        keep: what to keep of the output of a batch, as in ``keep=lambda output: output.logits.argmax(-1)``; it spares
            the memory for the rest.
        optimizer: use the weights that this optimizer averages; None uses the parameters as they are.
        batch_size: for data in memory and Datasets; the last batch may be smaller.
        progress: True shows it, False does not, None shows it on a terminal.

    Returns:
        The output for all samples on the CPU, in the structure that the model returns: a tensor ``[samples, ...]`` or a
        tuple, list or dict of them; None where it returns None.

    Raises:
        BatchError: the data cannot be read, or the outputs of the batches cannot be joined sample by sample.
        EmptyDatasetError: there is no data.
    """
    check_counts(batch_size=batch_size)
    found = source(as_inputs(data), InputReader.of(module), "data", batch_size, shuffle=False)
    outputs = []
    with inference(module, optimizer), progress_over(found.batches(), found.steps, progress, name="predict") as batches:
        for batch in batches:
            output = module(*batch.positional, **batch.named)
            outputs.append(on_host(output if keep is None else keep(output), batch.size))
    return join(outputs)
