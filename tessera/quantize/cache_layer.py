"""A module whose buffers are quantized caches, and whose code is the one that it had."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from tessera.quantize.cache import QuantizedCache
from tessera.quantize.formats import FORMATS

_BELOW = "quantized_caches_below"  # the attribute with all caches of a module and of what is in it


def install_caches(module: torch.nn.Module, forms: Mapping[str, str]) -> None:
    """Change ``module``, a copy of the user's, to keep these buffers as codes.

    Every module that has one of them somewhere in it becomes of a subclass whose forward tells them when it begins and
    ends; in the one that owns a buffer, its name is a property.

    Args:
        module: of any class.
        forms: number formats by the paths of buffers.
    """
    for path, form in forms.items():
        holder, _, name = path.rpartition(".")
        owner: Any = module.get_submodule(holder)
        persistent = name not in owner._non_persistent_buffers_set  # noqa: SLF001 - torch has no other way to ask
        cache = QuantizedCache(owner.get_buffer(name), FORMATS[form], persistent=persistent)
        delattr(owner, name)
        owner.add_module(f"quantized_{name}", cache)
        owner.__class__ = _owning(owner.__class__, name)
        parts = holder.split(".") if holder else []
        for depth in range(len(parts) + 1):
            above: Any = module.get_submodule(".".join(parts[:depth]))
            if not hasattr(above, _BELOW):
                setattr(above, _BELOW, [])
                above.__class__ = _telling(above.__class__)
            getattr(above, _BELOW).append(cache)


@functools.cache
def _owning(cls: type, name: str) -> type:
    """The subclass of ``cls`` in which the buffer ``name`` is read from its cache, and replaced there."""

    def read(layer: Any) -> torch.Tensor:
        values: torch.Tensor = getattr(layer, f"quantized_{name}").values()
        return values

    def replace(layer: Any, values: torch.Tensor) -> None:
        getattr(layer, f"quantized_{name}").replace(values)

    return type(cls.__name__, (cls,), {"__module__": cls.__module__, name: property(read, replace)})


@functools.cache
def _telling(cls: Any) -> type:
    """The subclass of ``cls`` whose forward tells the caches in it when it begins and ends."""

    @functools.wraps(cls.forward)
    def forward(layer: Any, *args: Any, **kwargs: Any) -> Any:
        caches = getattr(layer, _BELOW)
        for cache in caches:
            cache.enter()
        try:
            return cls.forward(layer, *args, **kwargs)
        finally:
            for cache in caches:
                cache.leave()

    return type(cls.__name__, (cls,), {"__module__": cls.__module__, "forward": forward})
