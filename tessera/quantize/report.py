"""What quantization did, as measured: errors, sizes, speed, and whether it was worth it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch


@dataclass
class LayerReport:
    """One quantized layer, or one quantized cache.

    Attributes:
        path: where it is in the model.
        recipe: how it is quantized.
        error: of its outputs on the calibration data, over their size; of its weights where there is no data; of what
            a cache holds behind the calibration data.
        measured_on: ``"outputs"``, ``"weights"`` or ``"rows"``.
        bytes_before, bytes_after: of its weights, or of the cache.
        note: what there is to say about it.
    """

    path: str
    recipe: str
    error: float
    measured_on: str
    bytes_before: int
    bytes_after: int
    note: str = ""

    @property
    def sqnr(self) -> float:
        """Signal to quantization noise in decibels."""
        return decibels(self.error)


@dataclass
class Speed:
    """Median time of one call before and after, in milliseconds, measured alternately on this machine."""

    before: float
    after: float
    runs: int
    mode: str

    def __str__(self) -> str:
        times = f"{self.before:.3g} -> {self.after:.3g} ms {self.mode} (medians of {self.runs} alternating calls)"
        if self.after > 1.02 * self.before:
            return (
                f"{times}. It is slower here than what it replaces, by {self.after / self.before:.2f}x: "
                "use it for its size, or leave speed to another format."
            )
        return f"{times}: {self.before / self.after:.2f}x as fast."


@dataclass
class QuantizationReport:
    """All there is to know about a quantized model; ``print`` it.

    Attributes:
        layers: those that are quantized.
        left_alone: paths of layers that are not, each with the reason.
        output_error: of the model's outputs on the calibration data, over their size; None without data.
        metric: before and after, where one was given.
        memory_bytes: of parameters and buffers, before and after.
        disk_bytes: of a file with the state_dict, before and after.
        speed: measured; None where it was not.
        data: how many batches of calibration data were seen.
    """

    layers: list[LayerReport] = field(default_factory=list)
    left_alone: dict[str, str] = field(default_factory=dict)
    output_error: float | None = None
    metric: tuple[float, float] | None = None
    memory_bytes: tuple[int, int] = (0, 0)
    disk_bytes: tuple[int, int] = (0, 0)
    speed: Speed | None = None
    data: int = 0

    def __str__(self) -> str:
        width = max([5, *(len(layer.path) for layer in self.layers)])
        wide = max([6, *(len(layer.recipe) for layer in self.layers)])
        text = [f"{'layer':<{width}}  {'recipe':<{wide}}  {'error':>8}  {'SQNR':>7}  {'of':<7}  {'size':>20}"]
        for layer in self.layers:
            size = f"{_size(layer.bytes_before)} -> {_size(layer.bytes_after)}"
            text.append(
                f"{layer.path:<{width}}  {layer.recipe:<{wide}}  {layer.error:>8.2e}  {layer.sqnr:>4.1f} dB  "
                f"{layer.measured_on:<7}  {size:>20}" + (f"  {layer.note}" if layer.note else "")
            )
        if self.left_alone:
            text.append("left as they are: " + "; ".join(f"{path} ({why})" for path, why in self.left_alone.items()))
        if self.output_error is not None:
            text.append(
                f"outputs of the model: relative error {self.output_error:.2e}, SQNR "
                f"{decibels(self.output_error):.1f} dB, on {self.data} batches of calibration data"
            )
        else:
            text.append("outputs of the model: not measured, since there is no calibration data")
        if self.metric is not None:
            text.append(f"metric: {self.metric[0]:.6g} -> {self.metric[1]:.6g}")
        for name, (before, after) in (("in memory", self.memory_bytes), ("on disk", self.disk_bytes)):
            text.append(f"size {name}: {_size(before)} -> {_size(after)}, {before / max(after, 1):.2f}x smaller")
        text.append(f"speed: {self.speed}" if self.speed else "speed: not measured")
        return "\n".join(text)


def relative_error(exact: torch.Tensor, found: torch.Tensor) -> float:
    """``|found - exact| / |exact|`` in Frobenius norms; infinite where one is not finite and the other is."""
    exact, found = exact.double(), found.double()
    same = (exact == found) | (exact.isnan() & found.isnan())
    difference = torch.where(same, 0.0, exact - found).norm().item()
    if not difference:
        return 0.0
    size = exact.nan_to_num(0.0, 0.0, 0.0).norm().item()
    return difference / size if size and not math.isnan(difference) else math.inf


def decibels(error: float) -> float:
    """SQNR of a relative error."""
    return float("inf") if error == 0 else -20 * torch.tensor(error, dtype=torch.float64).log10().item()


def memory_bytes(module: torch.nn.Module) -> int:
    """Bytes of the parameters and buffers, each storage once."""
    return _bytes([*module.parameters(), *module.buffers()])


def disk_bytes(module: torch.nn.Module) -> int:
    """Bytes of the tensors in the state_dict, each storage once."""
    return _bytes([value for value in module.state_dict().values() if isinstance(value, torch.Tensor)])


def _bytes(tensors: list[torch.Tensor]) -> int:
    seen = {
        (t.untyped_storage().data_ptr(), t.storage_offset(), t.shape): t.numel() * t.element_size() for t in tensors
    }
    return sum(seen.values())


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.4g} {unit}"
        size /= 1000
    return f"{size:.4g} GB"
