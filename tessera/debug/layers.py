"""The path of a layer within the model that runs it."""

from __future__ import annotations

import weakref

import torch

_PATHS: weakref.WeakKeyDictionary[torch.nn.Module, dict[int, str]] = weakref.WeakKeyDictionary()


def path_of(model: torch.nn.Module, layer: torch.nn.Module) -> str:
    """Such as ``blocks.3.attn``; "" for the model itself.

    A module that is called but belongs to no layer of the model has the name of its class in brackets.
    """
    if model is layer:
        return ""
    found = _PATHS.get(model, {}).get(id(layer))
    if found is None or not _is_there(model, found, layer):  # a number may stand for a module that is gone
        _PATHS[model] = {id(module): name for name, module in model.named_modules()}
        found = _PATHS[model].get(id(layer))
    return f"({type(layer).__name__})" if found is None else found


def _is_there(model: torch.nn.Module, path: str, layer: torch.nn.Module) -> bool:
    try:
        return model.get_submodule(path) is layer
    except AttributeError:
        return False
