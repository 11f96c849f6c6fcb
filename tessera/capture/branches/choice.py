"""What the copy of a function calls where the function had a conditional; see ``rewrite``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Own = Callable[[Any], Any]


def choose(decides: Any, true: Callable[[Own], Any], false: Callable[[Own], Any]) -> Any:
    """``true() if decides else false()``, captured as both of them where a tensor decides."""
    if not _is_captured(decides):
        return true(_as_it_is) if decides else false(_as_it_is)
    return torch.cond(_flag(decides), lambda: handed_out(true(own)), lambda: handed_out(false(own)), ())


def both(first: Any, second: Callable[[], Any]) -> Any:
    """``first and second()``, of which only the truth matters."""
    if not _is_captured(first):
        return first and second()
    return torch.cond(_flag(first), lambda: _flag_of(second(), first), lambda: _flag_of(False, first), ())


def either(first: Any, second: Callable[[], Any]) -> Any:
    """``first or second()``, of which only the truth matters."""
    if not _is_captured(first):
        return first or second()
    return torch.cond(_flag(first), lambda: _flag_of(True, first), lambda: _flag_of(second(), first), ())


def last(first: Any, second: Callable[[], Any], ends: bool) -> Any:
    """``first and second()``, if ``ends`` is True, or ``first or second()``, and its value matters."""
    if not _is_captured(first):
        return second() if bool(first) is ends else first
    go_on, stay = (lambda _: second()), (lambda _: first)
    return choose(first, go_on, stay) if ends else choose(first, stay, go_on)


def truth(value: Any, wanted: bool) -> Any:
    """Whether ``value`` is ``wanted``."""
    if not _is_captured(value):
        return bool(value) is wanted
    return _flag(value) if wanted else _flag(value).logical_not()


def own(value: Any) -> Any:
    """A branch changes a variable in place that was there before: what it changes is its own copy."""
    return torch.clone(value, memory_format=torch.preserve_format) if isinstance(value, torch.Tensor) else value


def handed_out(value: Any) -> Any:
    """What a branch returns may be something that was there before, which ``torch.cond`` does not take."""
    if isinstance(value, torch.Tensor):
        return value.clone(memory_format=torch.preserve_format)
    if type(value) is dict:
        return {name: handed_out(entry) for name, entry in value.items()}
    if type(value) is list:
        return [handed_out(entry) for entry in value]
    if type(value) is tuple:
        return tuple([handed_out(entry) for entry in value])
    raise TypeError(f"a branch returns a {type(value).__name__}")


def _as_it_is(value: Any) -> Any:
    return value


def _is_captured(decides: Any) -> bool:
    return isinstance(decides, torch.Tensor) and torch.compiler.is_dynamo_compiling()


def _flag(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(()).bool()


def _flag_of(value: Any, like: torch.Tensor) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return _flag(value).clone()
    return torch.full((), bool(value), device=like.device)
