"""Layers one after the other, given as a list, as arguments, or by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import torch

from tessera.nn.errors import LayerError


class Sequential(torch.nn.Sequential):
    """Applies layers one after the other; a ``torch.nn.Sequential`` with the same state_dict keys.

    Args:
        *layers: modules; or one iterable of modules (``Sequential([Linear(8, 4), ReLU()])``); or one mapping from names
            to modules, whose names become the keys of the state_dict.

    Raises:
        LayerError: something among the layers is not a module.
    """

    def __init__(self, *layers: torch.nn.Module | Iterable[torch.nn.Module] | Mapping[str, torch.nn.Module]) -> None:
        given = layers[0] if len(layers) == 1 and not _is_layer(layers[0]) else layers
        if not isinstance(given, Iterable):
            given = (given,)
        named = given if isinstance(given, Mapping) else {str(place): layer for place, layer in enumerate(given)}
        for name, layer in named.items():
            if not isinstance(layer, torch.nn.Module):
                raise LayerError(
                    f"Layer {name!r} of a Sequential is {_describe(layer)}.",
                    "A Sequential takes modules: as arguments, as one list, or as one dict from names to modules.",
                    "Write Sequential([Linear(8, 4), ReLU()]), with tessera.nn.ReLU() where a function stands.",
                )
        super().__init__(OrderedDict(named))


def _is_layer(given: object) -> bool:
    """A ``Sequential`` or ``ModuleList`` can be iterated over; a Sequential is a layer, a ModuleList a list of them."""
    return isinstance(given, torch.nn.Module) and not isinstance(given, (torch.nn.ModuleList, torch.nn.ModuleDict))


def _describe(given: object) -> str:
    return f"the class {given.__name__} itself" if isinstance(given, type) else f"a {type(given).__name__}"
