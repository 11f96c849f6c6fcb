"""What ``train_step`` was given: a module, a loss and its optimizers, each in its place and made for the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from tessera.errors import OptimizerError, SettingError

_ORDER = "Write tessera.train_step(model, loss, optimizer); loss is None for a model that returns its own loss."


def check_parts(module: Any, loss: Any, optimizer: Any) -> list[torch.optim.Optimizer]:
    """The optimizers, one or several.

    Raises:
        SettingError: one of the three is not what stands in its place.
        OptimizerError: an optimizer belongs to other parameters, or two have one in common.
    """
    if not isinstance(module, torch.nn.Module):
        raise SettingError(
            f"{_told(module)} was passed as the module.",
            "A training step updates the parameters of a torch.nn.Module, which comes first.",
            _ORDER,
        )
    if _is_optimizers(loss):
        raise SettingError(
            f"{_told(loss)} was passed as the loss.",
            "The loss comes second, a function (prediction, target) or its name, and the optimizer third.",
            _ORDER,
        )
    given = [optimizer] if isinstance(optimizer, torch.optim.Optimizer) else optimizer
    optimizers = list(given) if isinstance(given, Iterable) else []
    if not _is_optimizers(optimizers):
        raise SettingError(
            f"{_told(optimizer)} was passed as the optimizer.",
            "It is a torch or Tessera optimizer over the parameters of the module, or a list of them.",
            "Write for example tessera.train_step(model, loss, torch.optim.AdamW(model.parameters())).",
        )
    _check_ownership(module, optimizers)
    return optimizers


def _is_optimizers(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(isinstance(each, torch.optim.Optimizer) for each in value)
    return isinstance(value, torch.optim.Optimizer)


def _told(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float | type | None) else f"A {type(value).__name__}"


def _check_ownership(module: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    names = {id(p): name for name, p in module.named_parameters()}
    owner: dict[int, torch.optim.Optimizer] = {}
    for optimizer in optimizers:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        foreign = [p for p in parameters if id(p) not in names]
        if foreign:
            kind, model = type(optimizer).__name__, type(module).__name__
            raise OptimizerError(
                f"{len(foreign)} of the {len(parameters)} parameters of this {kind} are not those of this {model}.",
                "A training step updates the parameters of the module it runs.",
                f"Write {kind}(model.parameters(), ...) with the module that is trained, after any change of layers.",
            )
        for p in parameters:
            if (other := owner.setdefault(id(p), optimizer)) is not optimizer:
                raise OptimizerError(
                    f"{names[id(p)]} is in two optimizers, {type(other).__name__} and {type(optimizer).__name__}.",
                    "A training step updates each parameter once, so every parameter has one optimizer.",
                    "Give each optimizer parameters of its own: train_step(model, loss, [A(first), B(others)]).",
                )
