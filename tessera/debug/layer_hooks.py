"""Looks at what watched layers return, by torch's hooks for all modules, there only while something is watched.

The hooks answer in the thread of the mode alone. Paths are those within the outermost module that is called.
"""

from __future__ import annotations

import difflib
import functools
import logging
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from tessera import torch_internals
from tessera.debug.layers import path_of
from tessera.debug.place import here
from tessera.debug.ranges import range_of, watchable
from tessera.debug.watchpoint import Hit, Watchpoint
from tessera.errors import SettingError, SourceLine, WatchError

logger = logging.getLogger("tessera")
MOST_HITS = 10_000


class LayerHooks:
    """The watchpoints of one mode.

    Attributes:
        hits: the watchpoints that were met, the last of them.
    """

    def __init__(self, is_covered: Callable[[], bool]) -> None:
        self.hits: deque[Hit] = deque(maxlen=MOST_HITS)
        self._is_covered = is_covered
        self._watched: list[Watchpoint] = []
        self._met: set[int] = set()
        self._roots: list[weakref.ref[torch.nn.Module]] = []
        self._seen: set[str] = set()
        self._handles: list[Any] = []
        self._thread = threading.get_ident()
        self._running: list[torch.nn.Module] = []
        self._gradients: list[Any] = []

    def add(self, watchpoint: Watchpoint) -> None:
        """Look on from here."""
        if not self._handles:
            self._handles = [
                register_module_forward_pre_hook(self._begins),
                register_module_forward_hook(self._returns, always_call=True),
            ]
        self._watched.append(watchpoint)

    def close(self, *, check: bool) -> None:
        """Take all hooks away; ``check`` that every pattern was the path of some layer that was called."""
        for handle in (*self._handles, *self._gradients):
            handle.remove()
        self._handles, self._gradients, self._running = [], [], []
        for watchpoint in self._watched if check and self._seen else ():
            if id(watchpoint) not in self._met:
                raise self._no_layer(watchpoint)

    def _no_layer(self, watchpoint: Watchpoint) -> SettingError:
        paths = sorted(path for path in self._seen if path)
        near = difflib.get_close_matches(watchpoint.pattern, paths, n=3, cutoff=0.0)
        return SettingError(
            f"watch({watchpoint.pattern!r}) met no layer of what was called.",
            f"A pattern is the path of a layer, with * for one part of it; the nearest are {', '.join(near)}."
            if near
            else "A pattern is the path of a layer, and what was called has none.",
            f"Write for example watch({(near or ['**'])[0]!r}).",
        )

    def _begins(self, module: torch.nn.Module, _: Any) -> None:
        if threading.get_ident() != self._thread or self._is_covered():
            return
        if not self._running:
            self._look_at(module)
        self._running.append(module)

    def _look_at(self, model: torch.nn.Module) -> None:
        """Once for each outermost module: which layers are meant."""
        if any(root() is model for root in self._roots):
            return
        self._roots.append(weakref.ref(model))
        paths = [name for name, _ in model.named_modules()]
        self._seen.update(paths)
        for watchpoint in self._watched:
            if any(watchpoint.fits(path) for path in paths):
                self._met.add(id(watchpoint))
            elif id(watchpoint) not in self._met:
                logger.warning("%s", self._no_layer(watchpoint))

    def _returns(self, module: torch.nn.Module, _: Any, output: Any) -> None:
        if threading.get_ident() != self._thread or self._is_covered() or module not in self._running:
            return
        root = self._running[0]
        while self._running.pop() is not module:  # a layer that raised has not come back
            pass
        path = path_of(root, module)
        meant = [watchpoint for watchpoint in self._watched if watchpoint.fits(path)]
        if not meant:
            return
        self._met.update(map(id, meant))
        with torch_internals.outside_of_modes():
            tensors = watchable(torch_internals.tensors_in(output))
            where = here(in_backward=False).place.where
            for tensor in tensors:
                for watchpoint in meant:
                    if watchpoint.looks_at("output"):
                        self._check(watchpoint, path, "output", where, tensor)
                    if watchpoint.looks_at("gradient") and tensor.requires_grad:
                        check = functools.partial(self._check, watchpoint, path, "gradient", where)
                        self._gradients.append(tensor.register_hook(check))
        self._gradients = [h for h in self._gradients if h.hooks_dict_ref() is not None]

    def _check(
        self, watchpoint: Watchpoint, path: str, what: str, where: SourceLine | None, tensor: torch.Tensor
    ) -> None:
        if not (wrong := watchpoint.wrong(tensor)):
            return
        hit = Hit(path, what, range_of(tensor), wrong, watchpoint.pattern, where)
        self.hits.append(hit)
        if watchpoint.action == "record":
            return
        error = WatchError(
            f"The {what} of the layer {path or 'that was called'} is {hit.range}.",
            f"watch({watchpoint.pattern!r}) stops at {wrong}.",
            'Look at it with action="breakpoint", go on with action="record", or move the limit.',
            where,
        )
        if watchpoint.action == "raise":
            raise error
        warnings.warn(str(error), RuntimeWarning, stacklevel=2)
        if watchpoint.action == "breakpoint":
            breakpoint()  # noqa: T100 - `tensor`, `path` and `what` are here; `up` leads to the layer's own frame
