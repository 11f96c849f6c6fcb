"""Whose parameters an optimizer updates."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tessera.errors import OptimizerError


def check_owner(module: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[..., object] | str) -> None:
    """Raise ``OptimizerError`` unless every parameter of ``optimizer`` belongs to ``module`` (or to the loss)."""
    name = type(optimizer).__name__
    own = {id(p) for p in module.parameters()}
    learned_by_loss = {id(p) for p in loss.parameters()} if isinstance(loss, torch.nn.Module) else set()
    updated = [p for group in optimizer.param_groups for p in group["params"]]
    foreign = [p for p in updated if id(p) not in own | learned_by_loss]
    if foreign or not any(id(p) in own for p in updated):
        raise OptimizerError(
            f"{len(foreign)} of the {len(updated)} parameters of {name} do not belong to {type(module).__name__}; "
            f"the first is of shape {list(foreign[0].shape)}.",
            "An optimizer updates the parameters of the model that is trained.",
            f"Build it from this model, as in {name}(model.parameters(), ...), after the last change of its layers.",
        )
