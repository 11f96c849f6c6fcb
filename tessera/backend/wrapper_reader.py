"""Reads the Python wrapper that Inductor writes: which kernels run, in which order, on which buffers.

A wrapper is straight-line code: unpack the inputs, allocate buffers, call kernels, return. Where every call is a C++
kernel that Inductor compiled itself, the whole wrapper can be run without Python (see ``native.py``). Anything this
reader does not know makes it return None, and the wrapper runs as it was written.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Buffer:
    """Memory the wrapper allocates: shape, strides in elements, dtype."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        if 0 in self.shape:
            return 0
        span = 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return span * self.dtype.itemsize


@dataclass(frozen=True)
class Pointer:
    """A place in the memory of an input or buffer: ``offset`` elements of ``dtype`` after its start."""

    base: str
    offset: int
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        return self.offset * self.dtype.itemsize


@dataclass(frozen=True)
class Call:
    """One kernel call: the wrapper's name of the kernel and its arguments."""

    kernel: str
    arguments: tuple[Pointer, ...]


@dataclass(frozen=True)
class Product(Call):
    """A library's product of two matrices; the arguments are the result, the factors, and what is added, if anything.

    Attributes:
        layouts: shape and strides of each of them.
    """

    layouts: tuple[Buffer, ...]


@dataclass(frozen=True)
class Schedule:
    """What a wrapper does.

    Attributes:
        outputs: names of the buffers that are returned.
        results: how each of them is returned, which is not always how it was allocated: a wrapper that uses memory
            again may give it another shape of the same size.
    """

    inputs: tuple[str, ...]
    buffers: dict[str, Buffer]
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
    results: tuple[Buffer, ...]


def read_wrapper(
    source: str, dtypes: Sequence[torch.dtype], layouts: Sequence[Buffer] | None = None
) -> Schedule | None:
    """The schedule of a wrapper that only calls kernels on static shapes, or None.

    Args:
        source: the wrapper, as Python code.
        dtypes: of its inputs, in order.
        layouts: of its inputs; where they are given, calls may be matrix products too.
    """
    function = next(
        (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef) and n.name == "call"), None
    )
    if function is None:
        return None
    reader = _Reader(dtypes, layouts)
    try:
        for statement in function.body:
            reader.read(statement)
    except _Unknown:
        return None
    if reader.outputs is None:
        return None
    names, results = [name for name, _ in reader.outputs], [layout for _, layout in reader.outputs]
    return Schedule(tuple(reader.inputs), reader.buffers, tuple(reader.calls), tuple(names), tuple(results))


class _Unknown(Exception):
    """Something a schedule does not hold."""


class _Reader:
    """Reads one statement after the other; ``read`` raises at the first that it does not know."""

    def __init__(self, dtypes: Sequence[torch.dtype], layouts: Sequence[Buffer] | None) -> None:
        self.inputs: list[str] = []
        self.buffers: dict[str, Buffer] = {}
        self.calls: list[Call] = []
        self.outputs: list[tuple[str, Buffer]] | None = None
        self._dtypes, self._layouts = dtypes, layouts
        self._shapes: dict[str, Buffer] = {}
        self._names: dict[str, Pointer] = {}

    def read(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Delete() | ast.Expr(ast.Call(ast.Attribute(ast.Name("args"), "clear"))):
                pass
            case ast.Assign([ast.Tuple(names)], ast.Name("args")):
                self.inputs = [name.id for name in names if isinstance(name, ast.Name)]
                for name, dtype in zip(self.inputs, self._dtypes, strict=True):
                    self._names[name] = Pointer(name, 0, dtype)
                self._shapes |= dict(zip(self.inputs, self._layouts or (), strict=False))
            case ast.Assign([ast.Name(name)], ast.Call(ast.Name("empty_strided_cpu"), [shape, strides, dtype])):
                self._allocate(name, shape, strides, dtype)
            case ast.Assign([ast.Name(name)], value):
                pointer, layout = self._pointer(value), self._layout(value)
                self._names[name] = pointer
                if layout is not None:
                    self._shapes[name] = layout
            case ast.Expr(ast.Call(ast.Attribute(ast.Name("extern_kernels"), kind), operands, options)):
                self._multiply(kind, operands, options)
            case ast.Expr(ast.Call(ast.Name(kernel), arguments, [])) if kernel.startswith("cpp_fused"):
                self.calls.append(Call(kernel, tuple(map(self._pointer, arguments))))
            case ast.Return(ast.Tuple(values)):
                self.outputs = list(map(self._output, values))
            case _:
                raise _Unknown

    def _pointer(self, value: ast.expr) -> Pointer:
        match value:
            case ast.Name(name) if name in self._names:
                return self._names[name]
            case ast.Call(ast.Name("reinterpret_tensor"), [of, _, _, ast.Constant(int(offset))]):
                base = self._pointer(of)
                return Pointer(base.base, base.offset + offset, base.dtype)
        raise _Unknown

    def _layout(self, value: ast.expr) -> Buffer | None:
        """Shape and strides of ``value``; None for an input whose layout was not given."""
        match value:
            case ast.Name(name) if name in self._names:
                return self._shapes.get(name)
            case ast.Call(ast.Name("reinterpret_tensor"), [_, shape, strides, _]):
                return Buffer(_literal(shape), _literal(strides), self._pointer(value).dtype)
        raise _Unknown

    def _multiply(self, kind: str, operands: Sequence[ast.expr], options: Sequence[ast.keyword]) -> None:
        named = {option.arg: option.value for option in options}
        plain = all(isinstance(one, ast.Constant) and one.value == 1 for key, one in named.items() if key != "out")
        if self._layouts is None or kind not in ("mm", "addmm") or not plain:
            raise _Unknown
        values = [named["out"], *operands[-2:], *operands[:-2]]
        layouts = [layout for layout in map(self._layout, values) if layout is not None]
        if len(layouts) != len(values):
            raise _Unknown
        self.calls.append(Product(f"extern_kernels.{kind}", tuple(map(self._pointer, values)), tuple(layouts)))

    def _output(self, value: ast.expr) -> tuple[str, Buffer]:
        pointer, layout = self._pointer(value), self._layout(value)
        base = self.buffers.get(pointer.base)
        if not isinstance(value, ast.Name) or base is None or layout is None or pointer.offset:
            raise _Unknown
        if layout.bytes != base.bytes:  # a part of the memory is returned
            raise _Unknown
        return pointer.base, layout

    def _allocate(self, name: str, shape: ast.expr, strides: ast.expr, dtype: ast.expr) -> None:
        sizes, steps = _literal(shape), _literal(strides)
        kind = getattr(torch, dtype.attr, None) if isinstance(dtype, ast.Attribute) else None
        if not isinstance(kind, torch.dtype) or any(step < 0 for step in steps) or math.prod(sizes) == 0:
            raise _Unknown
        self.buffers[name] = Buffer(sizes, steps, kind)
        self._names[name] = Pointer(name, 0, kind)
        self._shapes[name] = self.buffers[name]


def _literal(numbers: ast.expr) -> tuple[int, ...]:
    try:
        return tuple(ast.literal_eval(numbers))
    except ValueError as error:  # a size that depends on the inputs
        raise _Unknown from error
