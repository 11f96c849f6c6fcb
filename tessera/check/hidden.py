"""Two tensors that are laid out against each other by accident, which a mean over all of it hides.

loss = ((self.score(x) - target) ** 2).mean()   # [B, 1] and [B] give [B, B]: no error, and another loss
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import torch

from tessera.check.call import Call
from tessera.check.finding import Finding
from tessera.check.rewrites import ELEMENTWISE, REDUCTIONS, lays_out
from tessera.check.run import Outcome
from tessera.shapes.spec import shape_text

_EACH_NUMBER = (ELEMENTWISE | {"square", "log1p", "softplus", "logsigmoid"}) - {"softmax", "log_softmax"}
_RESHAPES = {"squeeze", "flatten", "view", "reshape", "t", "detach", "clone", "contiguous"}
LOSSES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


def hidden_spread(outcome: Outcome, function: str) -> Finding | None:
    """What is wrong with a run that raised nothing and gives what is declared, if it is that.

    Args:
        outcome: the run.
        function: its name.
    """
    for call in outcome.history.calls:
        if call.where is not None and _is_by_accident(call, outcome) and _goes_into_one_number(call, outcome):
            one, other = (shape_text(outcome.world.texts(tensor.shape)) for tensor in call.tensors[:2])
            why = f"{one} and {other} are laid out against each other, every item against every other; a mean hides it."
            fixes = ("x.squeeze(-1) of what has a dimension of size 1",)
            return Finding("shape", "error", function, call.where, why, "", f"{one}, {other}", fixes)
    return None


def _is_by_accident(call: Call, outcome: Outcome) -> bool:
    """Whether it gives [B, B] of [B, 1] and [B], and nobody wrote that 1 to have it so."""
    if call.name in LOSSES:
        shapes = [list(tensor.shape) for tensor in call.tensors[:2]]
        if len(shapes) < 2 or len(shapes[0]) == len(shapes[1]):
            return False
        longer, shorter = sorted(shapes, key=len, reverse=True)
        return len(shorter) > 0 and outcome.world.number(longer[-1]) == 1 and outcome.world.number(shorter[-1]) != 1
    if not outcome.history.spreads(call) or any(_is_laid_out(tensor, outcome) for tensor in call.tensors):
        return False
    first, *others = (_quantities(tensor, outcome) for tensor in call.tensors)
    return first.isdisjoint(*others)  # what meets itself is compared in pairs


def _quantities(tensor: torch.Tensor, outcome: Outcome) -> set[Hashable]:
    """What the numbers of a tensor are computed of one by one, whatever its shape."""
    call = outcome.history.made_by(tensor)
    if call is None or not call.tensors:
        return {id(tensor)}
    if call.name in _EACH_NUMBER | _RESHAPES:
        return {key for one in call.tensors for key in _quantities(one, outcome)}
    if call.name in REDUCTIONS:
        given = [repr(one) for one in call.args if not isinstance(one, (torch.Tensor, bool))]
        return {(call.name, *map(id, call.tensors), *given, repr(call.kwargs.get("dim", "")))}
    return {id(tensor)}


def _is_laid_out(tensor: torch.Tensor, outcome: Outcome) -> bool:
    """Whether a dimension of size 1 was written, in the last line that gave the tensor its shape."""
    call = outcome.history.made_by(tensor)
    while call is not None and call.name in _EACH_NUMBER and call.tensors:
        tensor = next((one for one in call.tensors if one.shape == tensor.shape), call.tensors[0])
        call = outcome.history.made_by(tensor)
    if call is None:
        return False
    index = call.args[1] if call.name == "__getitem__" else ()
    return lays_out(call) or any(item is None for item in (index if isinstance(index, tuple) else (index,)))


def _goes_into_one_number(call: Call, outcome: Outcome) -> bool:
    """Whether all that is made of its result, number by number, is summed up as a whole."""
    if call.name in LOSSES:
        return isinstance(call.result, torch.Tensor) and call.result.dim() == 0
    waiting, seen, ends = [call.result], set[int](), False
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if tensor is outcome.result:
            return False
        for user in _users(tensor, outcome):
            made = user.result
            if not isinstance(made, torch.Tensor) or any(
                t.dim() >= tensor.dim() and t is not tensor and id(t) not in seen for t in user.tensors
            ):
                return False  # it meets what is laid out so too: it is meant
            if made.dim() == 0:
                ends = True
            elif user.name in _EACH_NUMBER and made.shape == tensor.shape:
                waiting.append(made)
            else:
                return False
    return ends


def _users(tensor: torch.Tensor, outcome: Outcome) -> Iterator[Call]:
    for call in outcome.history.calls:
        if any(one is tensor for one in call.tensors):
            yield call
