"""Whether what a loaded step was bound to is still as it was: looked at in Python at every call, as Dynamo's guards do.

Every step of every expression is remembered with what it led to; an object that is the same object has only to be asked
again where its own content may change.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

import torch

from tessera.artefact.descriptions import constant, describe
from tessera.capture.assumptions import CannotFollow, Scope, parsed

Check = Callable[[], bool]


class Watch:
    """Looks along expressions.

    Args:
        scope: what they begin with.
        paths: the expressions.
    """

    def __init__(self, scope: Scope, paths: Iterable[str]) -> None:
        self._scope = scope
        self._checks: dict[str, Check] = {}
        for path in paths:
            self._add(parsed(path))
        self._all = list(self._checks.values())

    def holds(self) -> bool:
        """Whether all is as it was."""
        try:
            return all(check() for check in self._all)
        except (AttributeError, LookupError, TypeError):
            return False

    def _add(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Attribute | ast.Subscript) or (path := ast.unparse(node)) in self._checks:
            return
        self._add(node.value)
        try:
            owner, found = self._scope.follow(ast.unparse(node.value)), self._scope.follow(path)
        except CannotFollow:  # that it is not there was said of it, or it lies behind the globals
            return
        fetch = _fetch(owner, node)
        if fetch is not None:
            self._checks[path] = _unchanged(fetch, found)


def _fetch(owner: Any, node: ast.Attribute | ast.Subscript) -> Callable[[], Any] | None:
    """How to look again; None where nothing can change."""
    if isinstance(node, ast.Subscript):
        if not isinstance(owner, dict | list):
            return None
        key = ast.literal_eval(node.slice)
        return lambda: owner[key]
    name = node.attr
    own = getattr(owner, "__dict__", None)
    if isinstance(own, dict) and name in own:
        return lambda: own[name]
    return lambda: getattr(owner, name)


def _unchanged(fetch: Callable[[], Any], found: Any) -> Check:
    if isinstance(found, torch.nn.Module):
        own, size = found.__dict__, len(found.__dict__)  # an attribute of its own may hide one of its class
        return lambda: fetch() is found and len(own) == size
    if type(found) in (dict, list) and len(found) < _SMALL and fetch() is found:
        before = list(found)
        if all(constant(each) is not None for each in before):
            return lambda: (now := fetch()) is found and list(now) == before
        size = len(found)
        return lambda: (now := fetch()) is found and len(now) == size
    if constant(found) is not None:
        kind = type(found)
        return lambda: (now := fetch()) is found or (type(now) is kind and now == found)
    if fetch() is not found:  # made anew whenever it is asked for: a bound method, what a property returns
        words = describe(found)
        return lambda: describe(fetch()) == words
    return lambda: fetch() is found


_SMALL = 1000  # entries of a container that are looked at one by one
