"""Layers one after the other, given as a list, as arguments, or by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from tessera.errors import LayerError


class Sequential(torch.nn.Sequential):
    """Applies layers one after the other; a ``torch.nn.Sequential`` with the same state_dict keys.

    Args:
        *layers: modules; or one iterable of modules (``Sequential([Linear(8, 4), ReLU()])``); or one mapping from names
            to modules, whose names become the keys of the state_dict.

    Raises:
        LayerError: something among the layers is not a module.
    """

    def __init__(self, *layers: torch.nn.Module | Iterable[torch.nn.Module] | Mapping[str, torch.nn.Module]) -> None:
        named = _named(layers)
        for name, layer in named.items():
            if not isinstance(layer, torch.nn.Module):
                given = f"the class {layer.__name__} itself" if isinstance(layer, type) else f"a {type(layer).__name__}"
                raise LayerError(
                    f"Layer {name!r} of a Sequential is {given}.",
                    "A Sequential takes modules: as arguments, as one list, or as one dict from names to modules.",
                    "Write Sequential([Linear(8, 4), ReLU()]), a module such as ReLU() in place of a function.",
                )
        super().__init__(OrderedDict(named))


def _named(layers: tuple[Any, ...]) -> dict[str, Any]:
    """One list or dict of layers is unpacked; a Sequential is a layer, although it can be iterated over."""
    is_collection = len(layers) == 1 and (
        isinstance(layers[0], (torch.nn.ModuleList, torch.nn.ModuleDict))
        or (isinstance(layers[0], Iterable) and not isinstance(layers[0], torch.nn.Module))
    )
    given = layers[0] if is_collection else layers
    if isinstance(given, (Mapping, torch.nn.ModuleDict)):
        return dict(given.items())
    return {str(place): layer for place, layer in enumerate(given)}
