"""What the rest of a function says of how likely an edit of one call is."""

from __future__ import annotations

import re

import torch

from tessera.check.call import Call
from tessera.check.history import OF_WEIGHTS
from tessera.check.rewrites import PRODUCTS, Rewrite, adds, makes_room
from tessera.check.run import Outcome

# In edits of one number, as in ``rewrites``.
BEFORE = 0.05  # more, for a dimension that the line before would have added
JOINED = 0.15  # less, for the size of a layer whose input is joined along the dimension that it makes anew
NO_NUMBER = 0.15  # more, for a number in place of one that stands nowhere in the line: it is computed, or has a name
AGREES = 0.1  # less, for what is done elsewhere alike: letters of another einsum, a weight that is turned round too


def added(rewrite: Rewrite, call: Call, base: Outcome) -> float:
    """What an edit costs more, or less, than one of its kind.

    Args:
        rewrite: the edit.
        call: that it is of.
        base: the run that made the call.
    """
    if call.name == "einsum":
        return -AGREES if _agrees(rewrite.text, call, base) else 0.0
    if rewrite.number is not None and call.where is not None:
        return NO_NUMBER * (not re.search(rf"\b{rewrite.number}\b", call.where.code))
    if _turns_as_others(rewrite, call, base):
        return -AGREES
    return BEFORE if _is_better_added_before(rewrite, call, base) else 0.0


def _is_better_added_before(rewrite: Rewrite, call: Call, base: Outcome) -> bool:
    """Whether an edit adds a dimension to what an earlier line took apart or numbered, see ``rewrites.makes_room``."""
    made = base.history.made_by(rewrite.operand) if rewrite.operand is not None and adds(rewrite.text) else None
    return made is not None and makes_room(made) and made.where != call.where


def _turns_as_others(rewrite: Rewrite, call: Call, base: Outcome) -> bool:
    """Whether a weight is turned round as another one is: ``x @ self.a.T`` hints at what ``y @ self.b`` lacks."""
    operand = rewrite.operand
    if operand is None or call.name not in PRODUCTS or not rewrite.text.startswith(".transpose(-2, -1)"):
        return False
    others = (c for c in base.history.calls if c.name in ("__get__", "t", "transpose") and not c.tensors)
    given = {id(tensor) for tensor in call.tensors}
    return id(operand) not in given and any(isinstance(c.result, torch.Tensor) and c.result.dim() > 1 for c in others)


def takes_what_is_joined(layer: torch.nn.Module, base: Outcome) -> bool:
    """Whether a layer refuses its input for a size that this got by being joined: the layer's own forgot a part."""
    call = base.failing
    axis = OF_WEIGHTS.get(call.name) if call is not None and call.module is layer else None
    return call is not None and axis is not None and any(_joined(one, call, axis, base) for one in base.history.calls)


def _joined(join: Call, call: Call, axis: int, base: Outcome) -> bool:
    made = join.result
    if join.name not in _JOINS or not isinstance(made, torch.Tensor):
        return False
    dim = join.kwargs.get("dim", join.args[1] if len(join.args) > 1 else 0)
    along = type(dim) is int and dim % made.dim() == axis + made.dim()
    same = any(given.dim() == made.dim() and given.shape[axis] == made.shape[axis] for given in call.tensors)
    return along and same and base.history.comes_of(call.tensors, made)


_JOINS = {"cat", "concat"}


def _agrees(text: str, call: Call, base: Outcome) -> bool:
    """Whether an equation names a tensor as another einsum does, where so far none does: bsht->bshd takes bsht."""
    old, new = _operands(str(call.args[0])), _operands(text)
    others = [_operands(str(c.args[0])) for c in base.history.calls if c.name == "einsum" and c.where != call.where]
    elsewhere = {letters for operands in others for letters in operands}
    changed = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
    return bool(changed) and all(b in elsewhere and a not in elsewhere for a, b in changed)


def _operands(equation: str) -> list[str]:
    return re.findall(r"\w+", equation.replace(" ", ""))
