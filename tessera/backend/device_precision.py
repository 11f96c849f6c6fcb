"""What precision a device multiplies in, and what takes the place of one that it lacks.

    fp8 > bf16 > fp32        fp16 > bf16 > fp32        tf32 > fp32

``"auto"`` is bf16 where the device has instructions for it: its range is that of fp32, so no loss is scaled for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tessera import torch_internals
from tessera.program import Precision

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}  # tf32 and fp8 have no products of ours yet
_NEXT = {"fp8": "bf16", "fp16": "bf16", "bf16": "fp32", "tf32": "fp32"}


@dataclass(frozen=True)
class DevicePrecision:
    """What a word such as ``"bf16"`` comes to on a device.

    Attributes:
        name: of the precision.
        dtype: of the operands of products; float32 leaves them alone.
        why: the reason, for the Report.
    """

    name: str
    dtype: torch.dtype
    why: str


def on_device(asked: str, device: torch.device) -> DevicePrecision:
    """The precision that ``asked`` comes to on ``device``."""
    name = "bf16" if asked == "auto" else asked
    instructions, reasons = _instructions(device), list[str]()
    while name != "fp32":
        dtype = _DTYPES.get(name)
        if dtype in instructions:
            return DevicePrecision(name, dtype, "; ".join([*reasons, f"{device.type} has {instructions[dtype]}"]))
        reasons.append(f"{device.type} has no {name} products" if dtype else f"there are no {name} products yet")
        name = _NEXT[name]
    return DevicePrecision(name, torch.float32, "; ".join(reasons))


def uses_float16(precision: Precision, device: torch.device) -> bool:
    """Whether some products on ``device`` come to float16: then their gradients may vanish."""
    return any(on_device(name, device).dtype is torch.float16 for name in precision.names)


def _instructions(device: torch.device) -> dict[torch.dtype, str]:
    """Low-precision dtypes that the device multiplies faster than float32, and what with."""
    if device.type == "cpu":
        return torch_internals.cpu_product_instructions()
    if device.type != "cuda" or not torch.cuda.is_available():
        return {}
    major, _ = torch.cuda.get_device_capability(device)
    since = {torch.float16: 7, torch.bfloat16: 8}
    return {dtype: "tensor cores for it" for dtype, first in since.items() if major >= first}
