"""The training programs that one optimizer drives."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import torch

from tessera.nn.losses import LossFunction


class Step(Protocol):
    """A whole training step; see ``tessera.train_step``."""

    metrics: dict[str, torch.Tensor]

    def __call__(self, *batch: Any, **named: Any) -> torch.Tensor:
        """Train on ``*inputs, target`` and return the loss before the update."""


class Builder(Protocol):
    """``tessera.train_step``, which lies on the floor above."""

    def __call__(
        self,
        module: torch.nn.Module,
        loss: LossFunction,
        optimizer: torch.optim.Optimizer,
        *,
        metrics: Mapping[str, Callable[[Any, Any], torch.Tensor]] | None = None,
    ) -> Step:
        """Build the step."""


class WholeSteps:
    """Kept on the optimizer, so that they live and die with it; copies and pickles of an optimizer start without."""

    def __init__(self) -> None:
        self._steps: dict[tuple[int, int, int, bool], Step] = {}  # a step holds what these ids stand for
        self._seen: weakref.WeakValueDictionary[tuple[int, int, int], Any] = weakref.WeakValueDictionary()

    @classmethod
    def of(cls, optimizer: torch.optim.Optimizer) -> Self:
        """Those of ``optimizer``."""
        return vars(optimizer).setdefault("_whole_steps", cls())

    def note(self, module: torch.nn.Module, loss: LossFunction) -> None:
        """Remember that ``module`` was trained with ``loss``, without keeping either alive."""
        try:
            self._seen[_key(module, loss)] = _owner(loss)
        except TypeError:  # no weak reference can point to it: it never becomes known, and its steps stay eager
            return

    def knows(self, module: torch.nn.Module, loss: LossFunction) -> bool:
        """Whether the pair was noted before.

        A lambda written inside the loop is a new function at every step, and compiling for it would never pay.
        """
        return self._seen.get(_key(module, loss)) is _owner(loss)

    def step(
        self,
        module: torch.nn.Module,
        loss: LossFunction,
        optimizer: torch.optim.Optimizer,
        build: Builder,
        *,
        keep_prediction: bool,
    ) -> Step:
        """The program for the pair; with ``keep_prediction`` its metrics hold the prediction before the update."""
        key = (*_key(module, loss), keep_prediction)
        if key not in self._steps:
            metrics = {"prediction": _prediction} if keep_prediction else None
            self._steps[key] = build(module, loss, optimizer, metrics=metrics)
        return self._steps[key]

    def __reduce__(self) -> tuple[type[WholeSteps], tuple[()]]:
        return WholeSteps, ()


def owns_all(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> bool:
    """Whether every parameter of ``optimizer`` belongs to ``module``, so that a step of it is a step of ``module``."""
    owned = {id(parameter) for parameter in module.parameters()}
    return all(id(parameter) in owned for group in optimizer.param_groups for parameter in group["params"])


def _prediction(prediction: torch.Tensor, _: Any) -> torch.Tensor:
    return prediction


def _owner(loss: LossFunction) -> Any:
    """A bound method is made anew whenever it is looked up; the object it is bound to stays."""
    return getattr(loss, "__self__", loss)


def _key(module: torch.nn.Module, loss: LossFunction) -> tuple[int, int, int]:
    return id(module), id(_owner(loss)), id(getattr(loss, "__func__", loss))
