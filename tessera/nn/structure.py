"""The layers of a ``tessera.function``: made in its first call, found again in every call after it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch.nn.modules import module as hooks

from tessera.errors import LayerError, SourceLine
from tessera.nn.running import running_call, written_at


class Kept(NamedTuple):
    """One layer of a structure.

    Attributes:
        name: under which the function has it; a dotted path for a part of another layer.
        kind: what was written, ``linear`` or ``Linear``.
        options: what it was made with: sizes and the like.
        line: ``file.py:12``, where it was written; "" after loading in another process, where lines may have moved.
    """

    name: str
    kind: str
    options: tuple[Any, ...]
    line: str

    def __str__(self) -> str:
        return f"{self.name!r}, {self.kind}({', '.join(map(str, self.options))}){self.line and f' at {self.line}'}"


class Structure:
    """The layers of a function in the order of its body; never changed once there."""

    def __init__(self, layers: tuple[Kept, ...]) -> None:
        self.layers = layers

    def __deepcopy__(self, _: Any) -> Structure:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Structure, (tuple(Kept(kept.name, kept.kind, kept.options, "") for kept in self.layers),)


class Call(Protocol):
    """A running call of a ``tessera.function``."""

    def layer(
        self,
        kind: str,
        name: str | None,
        options: tuple[Any, ...],
        make: Callable[[], torch.nn.Module],
    ) -> torch.nn.Module:
        """The layer for this place in the body.

        Raises:
            LayerError: it is not the one that the first call made here, or cannot be made.
        """


class FirstCall:
    """Makes the layers, and finds the modules from elsewhere that the body calls.

    Args:
        weights: of a state_dict that was loaded before there were layers; each is taken by its layer.
        dtype: that ``function.to(dtype)`` asked for before there were layers; None leaves the layers theirs.
    """

    def __init__(
        self, function: torch.nn.Module, weights: Mapping[str, torch.Tensor], dtype: torch.dtype | None
    ) -> None:
        self.structure: list[Kept] = []
        self.modules: dict[str, torch.nn.Module] = {}
        self._function, self._weights = function, dict(weights)
        self._loads = bool(weights)
        self._created: set[torch.nn.Module] = set()
        self._dtype, self._making = dtype, False

    def layer(
        self,
        kind: str,
        name: str | None,
        options: tuple[Any, ...],
        make: Callable[[], torch.nn.Module],
    ) -> torch.nn.Module:
        """Make a layer; see ``Call``."""
        if torch.compiler.is_dynamo_compiling():
            from tessera.nn import uncaptured

            return cast("torch.nn.Module", uncaptured.make(self.layer, kind, name, options, make))
        line = written_at()
        before, self._making = self._making, True
        try:
            with torch.inference_mode(mode=False):
                layer = make() if self._dtype is None else make().to(self._dtype)
        finally:
            self._making = before
        layer.train(self._function.training)
        name = self._add(layer, name, kind, line)
        self.structure.append(Kept(name, kind, options, line))
        return layer

    def watch(self) -> ExitStack:
        """Look at every module that is called or made, until the stack is closed."""
        stack = ExitStack()
        for handle in (
            hooks.register_module_forward_pre_hook(self._adopt),
            hooks.register_module_parameter_registration_hook(self._note_created),
            hooks.register_module_buffer_registration_hook(self._note_created),
        ):
            stack.callback(handle.remove)
        return stack

    def check_finished(self) -> None:
        """After the body: every weight that was loaded has its layer.

        Raises:
            LayerError: some have none.
        """
        if self._weights:
            raise LayerError(
                f"The state_dict that was loaded has {', '.join(sorted(self._weights))}, "
                f"and the first call of {_title(self._function)} made no layer for it.",
                "Every weight that is loaded belongs to a layer of the function.",
                "Load the state_dict of the same function, or name the layers as they were: linear(x, 8, name='head').",
            )

    def _adopt(self, module: torch.nn.Module, _: Any) -> None:
        """Before a module is called: make it part of the function, unless it is."""
        if running_call() is not self or any(module in known.modules() for known in self.modules.values()):
            return
        line = written_at()
        if any(part in self._created for part in module.modules()):
            raise LayerError(
                f"{_title(self._function)} makes a {type(module).__name__} that would be another one in every call.",
                "Layers are kept for a function where its own body names their class, or by tessera.nn.linear and "
                "its like.",
                f"Write {type(module).__name__}(...)(x) in the body itself, or make it before and call it there.",
                _source_line(line),
            )
        if self._function not in module.modules():
            self._add(module, None, getattr(module, "__name__", type(module).__name__), line)

    def _note_created(self, module: torch.nn.Module, *_: Any) -> None:
        if running_call() is self and not self._making:
            self._created.add(module)

    def _add(self, layer: torch.nn.Module, asked: str | None, kind: str, line: str) -> str:
        for known, module in self.modules.items():
            if path := next((path for path, part in module.named_modules(prefix=known) if part is layer), ""):
                return path
        name = self._free_name(kind) if asked is None else asked
        if not name or "." in name or hasattr(self._function, name) or name in self.modules:
            raise LayerError(
                f"A layer of {_title(self._function)} is called {name!r}.",
                "A name is text without a dot, is no attribute of every module, and stands for one layer.",
                "Leave name away, or write another one; in a loop, name=f'linear{i}'.",
                _source_line(line),
            )
        self.modules[name] = layer
        if self._loads:
            self._load(layer, name, line)
        return name

    def _load(self, layer: torch.nn.Module, name: str, line: str) -> None:
        own = {key.removeprefix(f"{name}."): self._weights[key] for key in self._weights if key.startswith(f"{name}.")}
        try:
            layer.load_state_dict(own)
        except RuntimeError as error:
            raise LayerError(
                f"The state_dict that was loaded has for {name!r}: {_shapes(own)}.",
                f"This layer has: {_shapes(layer.state_dict())}.",
                "Load the state_dict of the same function.",
                _source_line(line),
            ) from error
        self._weights = {key: value for key, value in self._weights.items() if not key.startswith(f"{name}.")}

    def _free_name(self, kind: str) -> str:
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
        name, number = stem, 0
        while name in self.modules or hasattr(self._function, name):
            number += 1
            name = f"{stem}_{number}"
        return name


class LaterCall:
    """Finds the layers again, in their order, and holds every one against what the body asks for."""

    def __init__(self, function: torch.nn.Module, structure: tuple[Kept, ...]) -> None:
        self._function, self._structure, self._position = function, structure, 0

    def layer(
        self,
        kind: str,
        name: str | None,
        options: tuple[Any, ...],
        make: Callable[[], torch.nn.Module],
    ) -> torch.nn.Module:
        """Find a layer; see ``Call``."""
        line = written_at()
        position = self._position
        if position >= len(self._structure):
            raise _changed(self._function, f"asks for one more, {kind}", f"had {position} in all", line)
        kept = self._structure[position]
        if kept.kind != kind or kept.options != options or (name is not None and kept.name != name):
            asked = Kept(kept.name if name is None else name, kind, options, "")
            raise _changed(self._function, f"asks for {asked}", f"has {kept} there", line)
        if kept.line and kept.line != line:
            raise _changed(self._function, f"asks for {kind} at {line}", f"has {kept} there", line)
        self._position = position + 1
        found = self._function
        for part in kept.name.split("."):
            found = found._modules[part]  # type: ignore[assignment]  # noqa: SLF001 - torch's own, traced quickest
        return found

    def check_finished(self) -> None:
        """After the body: every layer was asked for.

        Raises:
            LayerError: one was not.
        """
        if self._position != len(self._structure):
            kept = self._structure[self._position]
            raise _changed(self._function, f"asks for {self._position} layers", f"has {kept} as the next", kept.line)


def _changed(function: torch.nn.Module, asks: str, had: str, line: str) -> LayerError:
    return LayerError(
        f"This call of {_title(function)} {asks}; it {had}.",
        "A function has the layers of its first call in every call, in one order; its parameters are as they were.",
        "Write layers outside of branches, or a function for each structure.",
        _source_line(line),
    )


def _title(function: torch.nn.Module) -> str:
    return f"the function {getattr(function, '__name__', type(function).__name__)!r}"


def _source_line(line: str) -> SourceLine | None:
    file, _, number = line.rpartition(":")
    return SourceLine(file, int(number)) if file else None


def _shapes(state: Mapping[str, torch.Tensor]) -> str:
    return ", ".join(f"{name} {list(value.shape)}" for name, value in state.items()) or "nothing"
