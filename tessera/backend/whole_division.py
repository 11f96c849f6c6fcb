"""Division of whole numbers by a tensor that may hold a zero: PyTorch raises, a C++ kernel ends the process.

    raises   torch.tensor([7]) // torch.tensor([0])

A processor has no infinity among whole numbers; it stops whoever divides by zero. In torch 2.11 to 2.13 Inductor asks
nobody. A graph with such a division runs one operation at a time.
"""

from __future__ import annotations

import torch
from torch import fx

aten = torch.ops.aten
_DIVISIONS = (aten.div, aten.floor_divide, aten.remainder, aten.fmod)
_BOUNDED = (aten.clamp, aten.clamp_min)


class MayDivideByZero(Exception):
    """A kernel would end the process where PyTorch raises."""

    def __init__(self) -> None:
        super().__init__("whole numbers are divided by a tensor that may hold a zero, which would end the process")


def refuse_division_by_zero(graph: fx.Graph) -> None:
    """Look through an ATen graph.

    Raises:
        MayDivideByZero: something in it divides whole numbers on a CPU by a tensor, or by zero.
    """
    for node in graph.nodes:
        value = node.meta.get("val")
        whole = isinstance(value, torch.Tensor) and not (value.is_floating_point() or value.is_complex())
        if whole and value.device.type == "cpu" and getattr(node.target, "overloadpacket", None) in _DIVISIONS:
            divisor = node.args[1]
            if divisor == 0 or (isinstance(divisor, fx.Node) and _may_be_zero(divisor)):
                raise MayDivideByZero


def _may_be_zero(divisor: fx.Node) -> bool:
    """Whether a tensor may; a symbol was seen not to be zero when it became one."""
    if not isinstance(divisor.meta.get("val"), torch.Tensor):
        return False
    if getattr(divisor.target, "overloadpacket", None) not in _BOUNDED:
        return True
    least = divisor.args[1] if len(divisor.args) > 1 else divisor.kwargs.get("min")
    return not (isinstance(least, int) and least > 0)
