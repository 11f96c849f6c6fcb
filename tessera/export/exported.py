"""What an export did, as an object that prints well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Exported:
    """One exported file.

    Attributes:
        path: where the file is; a rejected one has ``.rejected`` behind its name.
        format: such as ``"ONNX"``.
        max_error: largest absolute difference between the file's answers and the model's.
        accepted: whether the file does what the model does.
        reason: why, as a sentence.
        size: of the file and of what lies beside it, in bytes.
        operators: how many of each there are in the file.
        decomposed: what of the model's operators became which operators.
        notes: sentences that whoever uses the file should read.
        milliseconds: of one call with the example here, the median: of the file, the model and the compiled model; what
            was not measured is not there.
    """

    path: Path
    format: str
    max_error: float
    accepted: bool
    reason: str
    size: int = 0
    operators: Mapping[str, int] = field(default_factory=dict)
    decomposed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    milliseconds: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        verdict = "accepted" if self.accepted else "rejected"
        lines = [f"{self.path} ({self.format}, {in_bytes(self.size)}): {verdict}. {self.reason}"]
        if self.operators:
            lines.append(f"  operators: {', '.join(f'{name} {count}' for name, count in self.operators.items())}")
        if self.decomposed:
            parts = (f"{name} into {', '.join(into)}" for name, into in self.decomposed.items())
            lines.append(f"  decomposed: {'; '.join(parts)}")
        if self.milliseconds:
            each = (f"{what} {time:.3g} ms" for what, time in self.milliseconds.items())
            lines.append(f"  a call here: {', '.join(each)}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def in_bytes(size: float) -> str:
    """``41.25 kB``."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.4g} {unit}"
        size /= 1000
    return f"{size:.4g} GB"
