"""Does an exported file answer what the model answers?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tessera.export.example import Example
from tessera.export.flat import tensors_of
from tessera.export.rounding import is_rounding

# A file may round differently from the model, so it may be some times as far from the exact answer as the model is, up
# to a share of the largest answer; the relative bounds are for models that happen to hit the exact answer.
_TIMES_THE_MODELS_ERROR, _LARGEST_SHARE = 10.0, 1e-2
_RELATIVE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class Agreement:
    """Outcome of a comparison: see ``Exported``.

    Attributes:
        case: with which the file's answers are others.
        runs: whether there was an answer to every case.
    """

    max_error: float
    accepted: bool
    reason: str
    case: Example | None = None
    runs: bool = True


def compare(module: torch.nn.Module, run: Callable[[Example], list[torch.Tensor]], example: Example) -> Agreement:
    """Compare ``run`` (the file) with ``module`` (in eval mode) at several sizes of the example.

    The exact answer is that of a float64 copy of the model, where the model can run in float64.
    """
    exact = _in_double(module)
    worst = 0.0
    seen: list[str] = []
    refused: list[str] = []
    for words, case in example.cases():
        try:
            with torch.no_grad():
                answers, again = list(tensors_of(case.call(module))), list(tensors_of(case.call(module)))
        except Exception:
            if case is example:
                raise
            refused.append(words)  # by the model itself
            continue
        if any(a.numel() and distance(a, b) for a, b in zip(answers, again, strict=True)):
            return Agreement(float("inf"), False, "The model itself answers differently the second time it is called.")
        try:
            found = run(case)
        except Exception as error:  # noqa: BLE001 - a runtime may raise anything; whatever it is, the file does not work
            return Agreement(float("inf"), False, f"With {words} it does not run: {_first_line(error)}.", runs=False)
        difference, problem = _compare(answers, found, exact(case, answers))
        worst = max(worst, difference)
        if problem and _alike(answers, found) and is_rounding(module, case, answers, found):
            seen.append(f"{words}: as much as the model's own when its weights change in their last digits")
            continue
        if problem:
            return Agreement(worst, False, f"With {words} {problem}.", case)
        seen.append(words)
    beyond = f" The model itself does not take {'; '.join(refused)}." if refused else ""
    return Agreement(
        worst, True, f"Its answers differ from the model's by {worst:.2g} at most ({'; '.join(seen)}).{beyond}"
    )


def _alike(answers: list[torch.Tensor], found: list[torch.Tensor]) -> bool:
    return [(t.shape, t.dtype) for t in answers] == [(t.shape, t.dtype) for t in found]


def _described(tensors: list[torch.Tensor]) -> list[str]:
    return [f"{str(t.dtype).removeprefix('torch.')}{list(t.shape)}" for t in tensors]


def _compare(answers: list[torch.Tensor], found: list[torch.Tensor], exact: list[torch.Tensor]) -> tuple[float, str]:
    """The largest difference from the model's answers, and what is wrong with it (nothing: an empty string)."""
    if not _alike(answers, found):
        return float("inf"), (
            f"it answers with {', '.join(_described(found))} and the model with {', '.join(_described(answers))}"
        )
    worst = 0.0
    for answer, from_file, truth in zip(answers, found, exact, strict=True):
        if not answer.numel():
            continue
        worst = max(worst, distance(from_file, answer))
        relative = _RELATIVE.get(answer.dtype, 0.0)
        sizes = truth.abs() if truth.is_complex() else truth.double().abs()
        scale = sizes.double().nan_to_num(0.0, 0.0, 0.0).max().item()
        own_error = min(_TIMES_THE_MODELS_ERROR * distance(answer, truth), _LARGEST_SHARE * scale)
        allowed = own_error + relative * scale
        from_truth = distance(from_file, truth)
        if not from_truth <= allowed:
            return worst, f"its answers are {from_truth:.2g} away from the exact ones, where {allowed:.2g} is allowed"
    return worst, ""


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference of two tensors of one shape; none where both have the same infinity, or NaN.

    Of whole numbers it is 1 at least where they differ: float64 does not tell large ones apart.
    """
    a, b = (torch.view_as_real(each) if each.is_complex() else each for each in (a.cpu(), b.cpu()))
    if not (a.is_floating_point() or b.is_floating_point()):
        return torch.where(a == b, 0.0, (a.double() - b.double()).abs().clamp(min=1)).max().item()
    a, b = a.double(), b.double()
    same = (a == b) | (a.isnan() & b.isnan())  # infinities and NaN in the same places agree
    return torch.where(same, 0.0, (a - b).abs().nan_to_num(float("inf"))).max().item()


def _in_double(module: torch.nn.Module) -> Callable[[Example, list[torch.Tensor]], list[torch.Tensor]]:
    """The function that gives exact answers; the model's own where it does not run in float64."""
    try:
        twin = copy.deepcopy(module).double()
    except Exception:  # noqa: BLE001 - a module may refuse to be copied for any reason
        return lambda _, answers: answers

    def exact(case: Example, answers: list[torch.Tensor]) -> list[torch.Tensor]:
        try:
            with torch.no_grad():
                found = list(tensors_of(case.double().call(twin)))
        except Exception:  # noqa: BLE001 - a model may be written for one dtype
            return answers
        return found if [t.shape for t in found] == [t.shape for t in answers] else answers

    return exact


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
