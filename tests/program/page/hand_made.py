"""Calls made by hand: a forward product, its backward, an update, each reading the one before."""

from __future__ import annotations

from tessera.errors import SourceLine
from tessera.program import CallRecord, Part

LINE, LOSS = SourceLine("/home/me/net.py", 7, "y = x @ w"), SourceLine("/home/me/net.py", 9, "loss = y.sum()")


def calls(*, measured: bool = True) -> list[CallRecord]:
    made = [
        CallRecord("extern_kernels.mm", "library", 4_000_000, 8_000_000, "float32", [part(LINE, "forward", 1.0)]),
        CallRecord(
            "cpp_fused_sum_0",
            "kernel",
            2_000_000,
            1_000_000,
            "float32",
            [part(LOSS, "backward", 0.75), part(LINE, "backward", 0.25)],
            [0],
        ),
        CallRecord("update_many", "kernel", 1_000_000, 0, "", [part(None, "update", 1.0)], [0, 1]),
    ]
    for call, milliseconds in zip(made, (3.0, 1.0, 0.5), strict=True):
        call.milliseconds = milliseconds if measured else None
    return made


def part(where: SourceLine | None, phase: str, share: float) -> Part:
    return Part(where, phase, share, ["aten.mm" if phase == "forward" else "aten.sum"])
