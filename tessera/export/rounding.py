"""How far a model's answers move when its numbers move in their last digit.

A model that rounds what flows through it, as a quantized one does, passes the smallest difference on as a whole step
of its rounding, and layer after layer makes more of it. What another runtime answers then differs from it as much as
what the model itself answers with weights that differ in their last digits.
"""

from __future__ import annotations

import copy

import torch

from tessera.export.example import Example
from tessera.export.flat import tensors_of

_LAST_DIGIT = 2.0**-23
_DIGITS = (1, 1, 4, 4, 16, 16)  # of each copy; a sum of some hundred numbers in another order moves by the most of them
_TIMES, _LARGEST_SHARE = 2.0, 0.1


def is_rounding(module: torch.nn.Module, case: Example, answers: list[torch.Tensor], found: list[torch.Tensor]) -> bool:
    """Whether ``found`` is no further from ``answers`` than the model itself goes, in the mean over each tensor.

    At most twice as far as the furthest of some copies of the model, and at most a tenth of the answers' size.
    """
    try:
        moved = [_moved(module, case, seed, digits) for seed, digits in enumerate(_DIGITS)]
    except Exception:  # noqa: BLE001 - a module may refuse to be copied, or to be changed, for any reason
        return False
    for place, (answer, other) in enumerate(zip(answers, found, strict=True)):
        if not answer.is_floating_point():
            if not torch.equal(answer.cpu(), other.cpu()):
                return False
            continue
        furthest = max(_mean_distance(copies[place], answer) for copies in moved)
        allowed = min(_TIMES * furthest, _LARGEST_SHARE * _mean_distance(answer, torch.zeros_like(answer)))
        if not _mean_distance(other, answer) <= allowed:  # NaN is not either
            return False
    return True


def _moved(module: torch.nn.Module, case: Example, seed: int, digits: int) -> list[torch.Tensor]:
    """Answers of a copy whose floating point parameters and buffers are changed in their last digits."""
    twin = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (*twin.parameters(), *twin.buffers()):
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=generator).to(value.device)
                value.copy_(value.float() * (1 + digits * _LAST_DIGIT * noise))
        return list(tensors_of(case.call(twin)))


def _mean_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a.cpu().double() - b.cpu().double()).square().mean().sqrt().item() if a.numel() else 0.0
