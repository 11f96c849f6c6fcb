"""``tessera.checkpoint``: a function that marks what is computed again, and a folder of functions for snapshots."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from tessera.nn.checkpoint import Function
from tessera.nn.checkpoint import checkpoint as mark


class Checkpoint:
    """Both at once. It is an object: Dynamo captures a call of one, but not a call of a module."""

    def __call__(self, function: Function) -> Function:
        return mark(function)

    def __getattr__(self, name: str) -> Any:
        return getattr(_folder(), name)

    def __dir__(self) -> list[str]:
        return dir(_folder())


def _folder() -> ModuleType:
    return importlib.import_module("tessera.checkpoint")


Checkpoint.__call__.__doc__ = mark.__doc__
checkpoint = Checkpoint()
