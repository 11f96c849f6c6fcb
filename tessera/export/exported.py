"""What an export did, as an object that prints well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Exported:
    """One exported file.

    Attributes:
        path: where the file is; a rejected one has ``.rejected`` behind its name.
        format: ``"onnx"`` or ``"safetensors"``.
        max_error: largest absolute difference between the file's answers and the model's.
        accepted: whether the file does what the model does.
        reason: why, as a sentence.
    """

    path: Path
    format: str
    max_error: float
    accepted: bool
    reason: str

    def __str__(self) -> str:
        size = self.path.stat().st_size if self.path.exists() else 0
        verdict = "accepted" if self.accepted else "rejected"
        return f"{self.path} ({self.format}, {_bytes(size)}): {verdict}. {self.reason}"


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.4g} {unit}"
        size /= 1000
    return f"{size:.4g} GB"
