"""What could have been written instead where a layer or a parameter was made: another size, ``batch_first``."""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tessera.check.agreement import NEW, SAID, is_default, is_new
from tessera.check.constructors import constructor, constructor_line
from tessera.check.written import argument, is_computed, is_of_use_here_alone, numbers_around, size_of_parameter
from tessera.errors import SourceLine
from tessera.users_code import source_line_at

_SIZE, _SWITCH = 1.0, 1.0
_ELSEWHERE = 0.5  # more, where the line only hands on what was made
_SAID = 0.15  # more, to turn a switch that was written: it was thought of
_ANOTHER_NAME = 0.1  # more, for a number in place of a name where another name stands for it
_NOT_AT_HAND = 0.15  # more, for a number in place of a name where no name stands for it
_LEFT_OVER = 0.5  # more, for a number in place of a name that is given for that alone
_COMPUTED = 0.35  # more, for a number in place of what is computed there, or of a name that was
_BEHIND_THE_FIRST = 0.3  # more, where all layers of a list are made otherwise but the first
_DIMENSION = 0.35  # more, for a parameter with a dimension less
_ONE = 0.3  # more, for a layer that gives one number: it goes with everything
_ALIKE = 0.1  # more, where the line beside makes one just so


Made = tuple[str, str, Any]  # the path of a module, and a layer or parameter in it under a name


@dataclass(frozen=True)
class LayerEdit:
    """Layers that one line made, made otherwise.

    Attributes:
        cost: in edits of one number.
        where: the line that made them.
        text: how they are made, as code.
        last: one of them.
        make: makes them.
    """

    cost: float
    where: SourceLine
    text: str
    last: nn.Module
    make: Callable[[], list[Made]]

    def applied(self, root: nn.Module) -> nn.Module:
        """A module like ``root`` with them; ``root`` itself stays as it is, another thread may be using it."""
        made = self.make()
        root = _copy(root, {})
        for path, name, value in made:
            owner = root.get_submodule(path)
            tables = vars(owner)
            tables[next(kind for kind in ("_parameters", "_buffers", "_modules") if name in tables[kind])][name] = value
        return root


def _copy(module: nn.Module, copies: dict[int, nn.Module]) -> nn.Module:
    """A module of the same parts: its own tables of them are new, the tensors are shared."""
    if id(module) not in copies:
        new = copies[id(module)] = copy.copy(module)
        vars(new)["_parameters"] = dict(module._parameters)  # noqa: SLF001
        vars(new)["_buffers"] = dict(module._buffers)  # noqa: SLF001
        parts = module._modules.items()  # noqa: SLF001
        vars(new)["_modules"] = {name: part and _copy(part, copies) for name, part in parts}
    return copies[id(module)]


def layer_edits(
    root: nn.Module,
    mode: Any,
    used: Sequence[nn.Module],
    sizes: Sequence[int],
    lines: Mapping[str, tuple[str, int, int]],
    known: frozenset[int] = frozenset(),
) -> Iterator[LayerEdit]:
    """Edits of what made the layers, parameters and numbers of the modules in ``used``.

    Args:
        root: the module they are parts of.
        mode: in which layers are made without memory.
        used: modules that were called.
        sizes: numbers that do not fit where they are.
        lines: file, line and instruction that made a layer, by its path, where they are known.
        known: numbers that names stand for where layers are made.
    """
    names = {id(module): name for name, module in root.named_modules()}
    by_line: dict[tuple[str, int, int, type], list[tuple[str, nn.Module]]] = {}
    calls = {id(module) for module in used}
    columns: dict[str, int] = {}
    for path, module in root.named_modules():
        if not path or not _is_torchs(type(module)):
            continue
        if (seen := constructor(root, path)) is not None:
            columns[path] = seen[2]
        if (made := lines.get(path) or seen) is not None:
            by_line.setdefault((*made, type(module)), []).append((path, module))
    for (file, line, *_), layers in by_line.items():
        where = source_line_at(file, line)
        last = next((layer for _, layer in reversed(layers) if id(layer) in calls), None)
        if last is None:
            continue
        alike = len({str(_arguments(layer)) for _, layer in layers}) == 1
        for name, value in _other_arguments(layers[0][1], sizes) if alike else _of_siblings(root, layers):
            make = functools.partial(_made_with, root, mode, layers, name, value)
            kind = type(layers[0][1]).__name__
            cost = _SIZE
            if isinstance(value, bool):
                said = argument(where, type(layers[0][1]), name, columns.get(layers[0][0])) is not None
                cost = _SWITCH + _SAID * said
            cost += SAID * is_default(name, value) + _ONE * (value == 1 and name in _SIZES_MADE)
            cost += (0 if kind in where.code else _ELSEWHERE) + _ALIKE * _is_alike(where)
            cost += _of_writing(where, layers[0][1], name, value, known, columns.get(layers[0][0]))
            yield LayerEdit(cost, where, f"{kind}({name}={value})", last, make)
        for name, value in _inputs(layers[0][1], sizes) if alike and len(layers) > 1 else ():
            make = functools.partial(_made_with, root, mode, layers[1:], name, value)
            text = f"{type(layers[0][1]).__name__}({name}={value}) behind the first"
            yield LayerEdit(_SIZE + _BEHIND_THE_FIRST, where, text, last, make)
    yield from _of_parameters(root, mode, names, used, sizes, known)


def _inputs(layer: nn.Module, sizes: Sequence[int]) -> Iterator[tuple[str, int]]:
    """What a layer may take instead: of a list often only the first takes what comes from outside."""
    for name in _SIZES_OF_INPUTS & _arguments(layer).keys():
        yield from ((name, size) for size in sizes if size != vars(layer)[name])


def _of_writing(
    where: SourceLine, layer: nn.Module, name: str, value: Any, known: frozenset[int], column: int | None
) -> float:
    """What a number costs more than where a number is written: in place of a name, or of what is computed."""
    if name not in _SIZES or not isinstance(value, (int, _SizeOf)):
        return 0.0
    written = argument(where, type(layer), name, column)
    if isinstance(value, _SizeOf):
        return _ANOTHER_NAME * isinstance(written, (ast.Name, ast.Attribute))
    return _of_number(written, value, where, known)


def _of_number(written: ast.expr | None, value: int, where: SourceLine, known: frozenset[int]) -> float:
    """What a number costs more in place of what is written."""
    if is_computed(written, where):
        return _COMPUTED
    if isinstance(written, ast.Constant):
        return NEW * is_new(written.value, value, numbers_around(where))
    if is_of_use_here_alone(written, where):
        return _LEFT_OVER
    if not isinstance(written, (ast.Name, ast.Attribute)) or not known:
        return 0.0
    at_hand = any(value % by == 0 and value // by in known for by in (1, 2, 3, 4))
    return _ANOTHER_NAME if at_hand else _NOT_AT_HAND


def _is_alike(where: SourceLine) -> bool:
    """Whether the line before or behind makes the same: one of two that look alike is seldom wrong."""
    made = where.code.partition("=")[2].partition("#")[0].strip()
    beside = (linecache.getline(where.file, where.line + by).partition("=")[2] for by in (-1, 1))
    return bool(made) and any(one.partition("#")[0].strip() == made for one in beside)


def _of_parameters(
    root: nn.Module,
    mode: Any,
    names: dict[int, str],
    used: Sequence[nn.Module],
    sizes: Sequence[int],
    known: frozenset[int],
) -> Iterator[LayerEdit]:
    for module in {id(m): m for m in used}.values():
        if id(module) not in names or _is_torchs(type(module)):
            continue
        prefix = names[id(module)]
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):  # noqa: SLF001 - its own alone
            where = constructor_line(root, f"{prefix}.{name}".lstrip("."))
            if tensor is None or where is None:
                continue
            shape = [int(size) for size in tensor.shape]
            for at in range(len(shape)) if len(shape) > 1 else ():
                less = [*shape[:at], *shape[at + 1 :]]
                make = functools.partial(_remade, mode, prefix, name, tensor, less)
                yield LayerEdit(_SIZE + _DIMENSION, where, f"{name} of {less}", module, make)
            for at, old in enumerate(shape):
                written = size_of_parameter(where, len(shape), at)
                for size in sizes:
                    if size != old:
                        cost = _SIZE + _of_number(written, size, where, known)
                        other = [*shape[:at], size, *shape[at + 1 :]]
                        make = functools.partial(_remade, mode, prefix, name, tensor, other)
                        yield LayerEdit(cost, where, f"{name} of {other}", module, make)


def _remade(mode: Any, owner: str, name: str, tensor: torch.Tensor, shape: Sequence[int]) -> list[Made]:
    with mode:
        other = torch.empty(shape, dtype=tensor.dtype)
        return [(owner, name, _like(tensor, other))]


def _like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return nn.Parameter(other, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else other


def _is_torchs(kind: type) -> bool:
    return kind.__module__.startswith("torch.nn") or kind.__module__.startswith("tessera.nn")


def _of_siblings(root: nn.Module, layers: Sequence[tuple[str, nn.Module]]) -> Iterator[tuple[str, _SizeOf]]:
    """For layers of one line with several sizes: the sizes of the layers beside each."""
    path, layer = layers[0]
    owner, _, own_name = path.rpartition(".")
    for name in _SIZES & _arguments(layer).keys():
        for sibling, other in root.get_submodule(owner).named_children():
            for attribute in sorted(_SIZES_OF_LAYERS & vars(other).keys()):
                if (sibling, attribute) != (own_name, name):
                    yield name, _SizeOf(sibling, attribute)


@dataclass(frozen=True)
class _SizeOf:
    """The size of a layer beside the one that is made."""

    sibling: str
    attribute: str

    def of(self, owner: nn.Module) -> int:
        value = getattr(owner.get_submodule(self.sibling), self.attribute)
        return int(value[0] if isinstance(value, tuple) else value)

    def __str__(self) -> str:
        return f"self.{self.sibling}.{self.attribute}"


def _arguments(module: nn.Module) -> dict[str, Any]:
    """What a layer of torch was made with: its attributes have the names of the constructor's arguments."""
    kind = type(module)
    parameters = dict(inspect.signature(kind).parameters)
    if "args" in parameters and kind.__base__ is not None:  # an RNN's are those of its base, but for the kind
        parameters |= {n: p for n, p in inspect.signature(kind.__base__).parameters.items() if n != "mode"}
    given = {name: vars(module)[name] for name in parameters if name in vars(module)}
    if given.get("proj_size") == 0:  # an RNN and a GRU have it, and take none
        del given["proj_size"]
    if "bias" in parameters and "bias" in module._parameters:  # noqa: SLF001
        given["bias"] = module._parameters["bias"] is not None  # noqa: SLF001
    return given


def _other_arguments(module: nn.Module, sizes: Sequence[int]) -> Iterator[tuple[str, Any]]:
    for name, value in _arguments(module).items():
        if name in ("batch_first", "bidirectional") or (name == "transposed"):
            yield name, not value
        elif name in _SIZES and type(value) is int:
            others = dict.fromkeys((*sizes, value * 2, value * 3, value * 4, value // 2, value * 3 // 2, 1))
            yield from ((name, size) for size in others if size != value)
        elif name == "normalized_shape":
            yield from ((name, size) for size in sizes if (size,) != tuple(value))
        elif name in ("stride", "padding") and isinstance(value, tuple):
            kernel = vars(module)["kernel_size"][0]
            usual = {"stride": (1, 2, kernel), "padding": (0, 1, (kernel - 1) // 2)}[name]
            yield from ((name, other) for other in dict.fromkeys(usual) if other != value[0])


def _made_with(
    root: nn.Module, mode: Any, layers: Sequence[tuple[str, nn.Module]], argument: str, value: Any
) -> list[Made]:
    made = []
    for path, layer in layers:
        owner, _, name = path.rpartition(".")
        size = value.of(root.get_submodule(owner)) if isinstance(value, _SizeOf) else value
        with mode:
            other = type(layer)(**{**_arguments(layer), argument: size}).train(layer.training)
        made.append((owner, name, other))
    return made


_SIZES = {
    *("in_features", "out_features", "in_channels", "out_channels", "num_features", "num_channels", "embedding_dim"),
    *("input_size", "hidden_size", "embed_dim", "in1_features", "in2_features", "groups"),
}
_SIZES_MADE = {"out_features", "out_channels"}
_SIZES_OF_INPUTS = {"in_features", "in_channels", "input_size"}
_SIZES_OF_LAYERS = _SIZES | {"normalized_shape"}
