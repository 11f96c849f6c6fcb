"""What a function or a module computes is computed again in the backward instead of being kept for it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint as marked_call

from tessera.errors import SettingError
from tessera.nn.running import running_module

Function = TypeVar("Function", bound=Callable[..., Any])


def checkpoint(function: Function) -> Function:
    """``function`` once more, but that nothing which it computes is kept for the backward: only what goes in and out.

    It holds eagerly, in ``tessera.compile`` and in a training step, whose ``memory_budget`` then chooses among what is
    left. Dropout has the same mask both times. Buffers are updated once: eagerly, those of modules that the function is
    a method of, is given, or has in its closure.

    Args:
        function: a function of tensors, a module, or a class of modules, of which then every one is marked. A module
            that comes back shares everything with the one that was passed: parameters, buffers, hooks and mode.

    Raises:
        SettingError: it is nothing that can be called.

    Example:
        >>> class Network(nn.Module):
        ...     def forward(self, x):
        ...         for block in self.blocks:
        ...             x = tessera.checkpoint(block)(x)
        ...         return x

    References:
        Chen et al., Training deep nets with sublinear memory cost, 2016, arXiv:1604.06174.
    """
    made: Any
    if isinstance(function, type) and issubclass(function, nn.Module):
        made, made.forward = function, _marked(function.forward)
    elif not callable(function) or isinstance(function, type):
        raise SettingError(
            f"checkpoint was given {function!r}.",
            "It marks a function, a module or a class of modules, whose values are computed again in the backward.",
            "Write for example tessera.checkpoint(block)(x), or @tessera.checkpoint above the function.",
        )
    elif isinstance(function, nn.Module) and not torch.compiler.is_compiling():
        kind: Any = type(function)
        made = object.__new__(_marked_class(kind))
        object.__setattr__(made, "__dict__", function.__dict__)
    else:
        made = _marked(function)
    return cast("Function", made)


@functools.cache
def _marked_class(kind: type[nn.Module]) -> type[nn.Module]:
    """Modules of ``kind`` that compute everything again; it has the same name, as it is the same layer."""

    def reduce(module: nn.Module, _: object) -> tuple[Any, ...]:  # the class itself has no name that leads to it
        plain = object.__new__(kind)
        object.__setattr__(plain, "__dict__", module.__dict__)
        return checkpoint, (plain,)

    return type(kind.__name__, (kind,), {"forward": _marked(kind.forward), "__reduce_ex__": reduce})


def _marked(function: Callable[..., Any]) -> Callable[..., Any]:
    if torch.compiler.is_compiling():
        return functools.partial(_captured, function)

    @functools.wraps(function)
    def marked(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return _captured(function, *args, **kwargs)
        modules = [one for one in _around(function, args) if isinstance(one, nn.Module)]
        return marked_call(
            functools.partial(_in_mode_of, running_module(), function, kwargs),
            *args,
            use_reentrant=False,
            context_fn=lambda: (contextlib.nullcontext(), _buffers_set_aside(modules)),
        )

    return marked


def _captured(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    named = functools.partial(function, **kwargs) if kwargs else function  # torch has arguments of its own
    return marked_call(named, *args, use_reentrant=False)


def _in_mode_of(_: nn.Module | None, function: Callable[..., Any], kwargs: dict[str, Any], *args: Any) -> Any:
    """Runs as a method of the module that ran at first: Tessera's own layers ask whether that is training."""
    return function(*args, **kwargs)


def _around(function: Callable[..., Any], args: Iterable[Any]) -> Iterator[Any]:
    """Whatever may be a module that ``function`` runs."""
    yield from (function, getattr(function, "__self__", None), *args)
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a name that has no value yet
            yield cell.cell_contents


@contextlib.contextmanager
def _buffers_set_aside(modules: Iterable[nn.Module]) -> Iterator[None]:
    """What is written to buffers is written to copies, and is gone."""
    inner = {id(one): one for module in modules for one in module.modules()}.values()
    found = [(module, name, buffer) for module in inner for name, buffer in module.named_buffers(recurse=False)]
    try:
        for module, name, buffer in found:
            setattr(module, name, buffer.clone())
        yield
    finally:
        for module, name, buffer in found:
            setattr(module, name, buffer)
