"""Tells ``Origins`` what tensors are declared as, as they go into and come out of annotated modules and functions."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from tessera.debug.origins import Origins
from tessera.errors import AnnotationError
from tessera.shapes.signature import Contract, Expected, read_contract
from tessera.shapes.unify import Mismatch, tensors_of


class DeclaredDims:
    """Hooks for all modules, in the thread that made them, until ``close``."""

    def __init__(self, origins: Origins, is_covered: Callable[[], bool]) -> None:
        self._origins, self._is_covered = origins, is_covered
        self._thread = threading.get_ident()
        self._handles = [
            register_module_forward_pre_hook(self._given),
            register_module_forward_hook(self._returned),
        ]

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _given(self, module: torch.nn.Module, args: tuple[Any, ...]) -> None:
        contract = self._contract(module)
        if contract is not None:
            parameters = [each for name, each in contract.signature.parameters.items() if name != "self"]
            with contextlib.suppress(TypeError):  # the call itself will say
                given = contract.signature.replace(parameters=parameters).bind_partial(*args).arguments
                self._declare(contract.parameters, given)

    def _returned(self, module: torch.nn.Module, _: Any, result: Any) -> None:
        contract = self._contract(module)
        if contract is not None and contract.returns is not None:
            self._declare({"return value": contract.returns}, {"return value": result})

    def _contract(self, module: torch.nn.Module) -> Contract | None:
        if threading.get_ident() != self._thread or self._is_covered():
            return None
        return _contract_of(getattr(module, "body", type(module).forward))

    def _declare(self, expected: Mapping[str, Expected], values: Mapping[str, Any]) -> None:
        for name, wanted in expected.items():
            for found in tensors_of(wanted, values[name], name) if name in values else ():
                if isinstance(found, Mismatch):
                    return
                _, spec, tensor = found
                if spec.places is not None and (aligned := spec.aligned(tensor.dim())) is not None:
                    dims = tuple(place if isinstance(place, int) else str(place) for place in aligned)
                    self._origins.declare(tensor, dims)


@functools.lru_cache(maxsize=1024)
def _contract_of(function: Callable[..., Any]) -> Contract | None:
    plain = inspect.unwrap(function)
    if not getattr(plain, "__annotations__", None):
        return None
    try:
        contract = read_contract(plain)
    except AnnotationError:  # what checks it says so
        return None
    return contract if contract.says_something else None
