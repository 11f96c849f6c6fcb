"""What flows into the layers when the model sees the user's data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from tessera.errors import EmptyDatasetError, QuantizeError
from tessera.train.batches import Batch
from tessera.train.inference import inference
from tessera.train.inputs import InputReader, as_inputs
from tessera.train.source import source

_VALUES = 2**18  # kept of what flows into a layer, to choose a range by
_ROWS = 512  # kept of the first input, to measure errors with


@dataclass
class Statistics:
    """What flowed into one layer.

    Attributes:
        calls: how often the layer was called.
        least, largest: of all values.
        values: some of them, spread evenly over each batch, and the extremes.
        example: the beginning of the first input.
        rows: of inputs ``[..., channels]``, over all of them: their number,
        total: their sum ``[channels]``,
        reach: the largest magnitude ``[channels]``,
        magnitude: the sum of magnitudes ``[channels]``,
        gram: ``rows.T @ rows``, where it was asked for.
    """

    calls: int = 0
    least: float = 0.0
    largest: float = 0.0
    values: list[torch.Tensor] = field(default_factory=list)
    example: torch.Tensor | None = None
    rows: int = 0
    total: torch.Tensor | None = None
    reach: torch.Tensor | None = None
    magnitude: torch.Tensor | None = None
    gram: torch.Tensor | None = None

    def see(self, x: torch.Tensor, *, gram: bool, batches: int) -> None:
        """Take in one input."""
        self.calls += 1
        if self.example is None:
            self.example = (
                x[: max(1, _ROWS * x.shape[-1] // max(1, x[:1].numel()))].clone() if x.ndim > 1 else x.clone()
            )
        if not x.is_floating_point() or not x.numel():
            return
        least, largest = x.aminmax()
        self.least, self.largest = min(self.least, float(least)), max(self.largest, float(largest))
        flat = x.flatten()
        self.values.append(flat[:: max(1, flat.numel() * batches // _VALUES)].float())
        self.values.append(torch.stack((least, largest)).float())
        rows = x.reshape(-1, x.shape[-1]).float()
        self.rows += rows.shape[0]
        self.total = _plus(self.total, rows.sum(0))
        self.magnitude = _plus(self.magnitude, rows.abs().sum(0))
        reach = rows.abs().amax(0)
        same = self.reach is not None and self.reach.shape == reach.shape
        self.reach = torch.maximum(self.reach, reach) if same and self.reach is not None else reach
        if gram:
            self.gram = _plus(self.gram, rows.T @ rows)


def calibration_batches(module: torch.nn.Module, data: object) -> list[Batch]:
    """The batches in ``data``, read as ``tessera.predict`` reads it: labels are left out.

    Raises:
        QuantizeError: there are none, or one holds NaN or infinity.
        BatchError: it cannot be read.
    """
    try:
        found = list(source(as_inputs(data), InputReader.of(module), "calibration data", 32, shuffle=False).batches())
    except EmptyDatasetError:
        found = []
    if not any(x.numel() for batch in found for x in batch.inputs):
        raise QuantizeError(
            "The calibration data is empty.",
            "Ranges are chosen from at least one batch of inputs, better from a hundred samples.",
            "Pass inputs such as calibration_data=images[:128], or leave it out for target='int8', which needs none.",
        )
    for number, batch in enumerate(found):
        for x in batch.inputs:
            if x.is_floating_point() and not x.isfinite().all():
                kind = "NaN" if x.isnan().any() else "infinity"
                raise QuantizeError(
                    f"Batch {number} of the calibration data, of shape {list(x.shape)}, holds {kind}.",
                    "Ranges are chosen from finite numbers.",
                    "Leave such samples out: data[data.isfinite().flatten(1).all(1)].",
                )
    return found


def observe(
    module: torch.nn.Module, layers: Mapping[str, torch.nn.Module], batches: list[Batch], gram: frozenset[str]
) -> dict[str, Statistics]:
    """Run ``module`` on all batches in eval mode and watch what flows into ``layers``.

    Raises:
        QuantizeError: the module cannot be called with the data.
    """
    found = {path: Statistics() for path in layers}
    with inference(module), _watching(layers, found, gram, len(batches)):
        for number, batch in enumerate(batches):
            call(module, batch, number)
    return found


def call(module: torch.nn.Module, batch: Batch, number: int = 0) -> object:
    """What ``module`` answers to a batch.

    Raises:
        QuantizeError: it cannot be called with it.
    """
    try:
        return module(*batch.positional, **batch.named)
    except Exception as error:
        shapes = ", ".join(str(list(x.shape)) for x in batch.inputs)
        raise QuantizeError(
            f"{type(module).__name__} cannot be called with batch {number} of the calibration data, of shape "
            f"{shapes}: {(str(error).strip() or type(error).__name__).splitlines()[0]}",
            "Calibration data is what the model is called with, or pairs of that and labels.",
            "Pass it in the shape that model(...) takes, with a first dimension of samples.",
        ) from error


@contextmanager
def _watching(
    layers: Mapping[str, torch.nn.Module], found: dict[str, Statistics], gram: frozenset[str], batches: int
) -> Iterator[None]:
    def watch(path: str) -> torch.utils.hooks.RemovableHandle:
        def hook(_: torch.nn.Module, args: tuple[object, ...], named: dict[str, object]) -> None:
            first = args[0] if args else next(iter(named.values()), None)
            if isinstance(first, torch.Tensor):
                found[path].see(first.detach(), gram=path in gram, batches=batches)

        return layers[path].register_forward_pre_hook(hook, with_kwargs=True)

    handles = [watch(path) for path in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _plus(total: torch.Tensor | None, more: torch.Tensor) -> torch.Tensor:
    return more.clone() if total is None or total.shape != more.shape else total.add_(more)
