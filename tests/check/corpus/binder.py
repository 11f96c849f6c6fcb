"""Arguments made from annotations, and results held against them: read from the source, without the checker."""

from __future__ import annotations

import ast
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from tests.check.corpus.programs import tree_of

PRIMES = (5, 7, 11, 13, 17, 19, 23, 29, 31)
OTHERS = (6, 4, 9, 8, 10, 12, 14, 15, 16)
LEADING = ((2, 3), (), (4,))  # what `...` stands for, in turn
JAXTYPING = {
    "Float": torch.float32,
    "Int": torch.int64,
    "Bool": torch.bool,
    "Complex": torch.complex64,
    "Shaped": None,
    "Num": None,
}


class DictOfAny(dict):  # type: ignore[type-arg]
    """Any key is there: ``dict[str, Tensor[...]]`` says nothing of keys."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__({key: make() for key in ("first", "second")})
        self.make = make

    def __missing__(self, key: str) -> Any:
        self[key] = self.make()
        return self[key]


class Binder:
    """Binds the names of one signature to sizes; ``turn`` chooses them, ``hints`` narrow them."""

    def __init__(self, module: ModuleType, signature: ast.FunctionDef, hints: dict[str, Any], turn: int) -> None:
        self.module, self.signature, self.hints, self.turn = module, signature, hints, turn
        self.random = random.Random(turn)
        self.leading: dict[str, tuple[int, ...]] = {}
        self.sizes: dict[str, int] = {}
        self.free = self.random.sample(PRIMES, len(PRIMES)) if turn % 2 == 0 else list(OTHERS)
        self.lines = tree_of(Path(module.__file__ or "")).body
        self.trees = {node.name: node for node in self.lines if isinstance(node, ast.ClassDef)}

    def arguments(self) -> Iterator[tuple[list[Any], dict[str, Any]]]:
        """Every choice of its bools, Nones and literals, with fresh tensors each time."""
        a = self.signature.args
        positional = [p for p in [*a.posonlyargs, *a.args] if p.arg != "self"]
        defaults: list[Any] = [None] * (len(positional) - len(a.defaults)) + list(a.defaults)
        choices = [self._choices(p, d) for p, d in zip(positional, defaults, strict=False)]
        named = [(p.arg, self._choices(p, d)) for p, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
        if a.vararg:
            choices += [self._choices(a.vararg, None)] * 3
        if a.kwarg:
            named += [(name, self._choices(a.kwarg, None)) for name in ("first", "second")]
        for made in itertools.product(*choices, *(c for _, c in named)):
            values = [make() for make in made]
            yield values[: len(choices)], dict(zip([n for n, _ in named], values[len(choices) :], strict=True))

    def complaint(self, value: Any) -> str:
        """Why the result is not what was declared; empty if it is."""
        return self._complaint(self.signature.returns, value) if self.signature.returns is not None else ""

    def _choices(self, parameter: ast.arg, default: ast.expr | None) -> list[Callable[[], Any]]:
        if parameter.arg in self.hints:
            return [lambda v=v: v for v in _tuple(self.hints[parameter.arg])]
        if parameter.annotation is None:
            assert default is not None, f"{parameter.arg} has neither annotation nor default"
            value = self._value(default)
            return [lambda: value]
        node, default_value = self._resolve(parameter.annotation), None if default is None else self._value(default)
        return self._makers(node, default_value)

    def _makers(self, node: ast.expr, default: Any = None) -> list[Callable[[], Any]]:
        node = self._resolve(node)
        text = ast.unparse(node)
        if text == "None":
            return [lambda: None]
        if text == "bool":
            return [lambda: True, lambda: False]
        if text in {"int", "float", "str", "list[int]", "tuple[int, ...]"}:
            assert default is not None or text == "float", f"{text} without default needs a hint"
            return [lambda: 0.5 if default is None else default]
        if isinstance(node, ast.BinOp):
            return [*self._makers(node.left, default), *self._makers(node.right, default)]
        if isinstance(node, ast.Name) and node.id in self.trees:
            return [lambda: self._record(node.id)]
        if isinstance(node, ast.Subscript):
            head, items = ast.unparse(node.value), _items(node)
            if head == "Optional":
                return [lambda: None, *self._makers(items[0])]
            if head == "Union":
                return [maker for item in items for maker in self._makers(item, default)]
            if head == "Literal":
                return [lambda v=v: v for v in map(ast.literal_eval, items)]
            if head in {"list", "List", "Sequence", "Iterable"}:
                made = self._makers(items[0])
                return [lambda m=m, n=n: [m() for _ in range(n)] for m in made for n in (3,)]
            if head in {"dict", "Dict"}:
                return [lambda m=m: DictOfAny(m) for m in self._makers(items[1])]
            if head in {"tuple", "Tuple"}:
                if ast.unparse(items[-1]) == "...":
                    return [lambda m=m: tuple(m() for _ in range(3)) for m in self._makers(items[0])]
                return [lambda c=c: tuple(m() for m in c) for c in itertools.product(*(self._makers(i) for i in items))]
        shape, dtype = self._spec(node)
        return [lambda: self._tensor(shape, dtype)]

    def _tensor(self, shape: list[Any], dtype: torch.dtype | None) -> torch.Tensor:
        size = self._size(shape)
        dtype = dtype or torch.float32
        if dtype == torch.bool:
            return torch.rand(size) > 0.5
        return torch.randn(size, dtype=dtype) if dtype.is_floating_point or dtype.is_complex else torch.randint(2, size)

    def _record(self, name: str) -> Any:
        kind, fields = getattr(self.module, name), self._fields(name)
        made = {field: self._makers(annotation)[-1]() for field, annotation in fields.items()}
        return kind(**made)

    def _fields(self, name: str) -> dict[str, ast.expr]:
        return {
            ast.unparse(line.target): line.annotation
            for line in self.trees[name].body
            if isinstance(line, ast.AnnAssign) and line.value is None
        }

    def _spec(self, node: ast.expr) -> tuple[list[Any], torch.dtype | None]:
        assert isinstance(node, ast.Subscript), f"{ast.unparse(node)} is not understood"
        head, items = ast.unparse(node.value), _items(node)
        if head in JAXTYPING:
            return ast.literal_eval(items[1]).split(), JAXTYPING[head]
        assert head in {"Tensor", "tessera.Tensor", "ts.Tensor"}, f"{head} is not understood"
        shape: list[Any] = []
        dtype = None
        for item in items:
            value = item.value if isinstance(item, ast.Constant) else None
            if isinstance(value, (str, int)):
                shape.append(value)
            elif value is ...:
                shape.append("...")
            else:
                known = None if isinstance(item, ast.BinOp) else self._value(item)
                if isinstance(known, torch.dtype):
                    dtype = known
                else:
                    shape.append(known if isinstance(known, int) else ast.unparse(item))
        return shape, dtype

    def _size(self, shape: list[Any]) -> list[int]:
        size: list[int] = []
        for dim in shape:
            if isinstance(dim, str) and (dim == "..." or dim.startswith("*")):
                size.extend(self.leading.setdefault(dim, LEADING[self.turn % 3]))
            else:
                size.append(self._number(dim))
        return size

    def _number(self, dim: Any) -> int:
        if isinstance(dim, int):
            return dim
        tree = ast.parse(str(dim).split("=")[-1], mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id not in self.sizes:
                self.sizes[node.id] = self._choose(node.id)
        return int(eval(compile(tree, "annotation", "eval"), {}, dict(self.sizes)))

    def _choose(self, name: str) -> int:
        hint = self.hints.get(name, 1)
        if isinstance(hint, tuple):
            return int(hint[self.turn % len(hint)])
        return self.free.pop(0) * int(hint)

    def _complaint(self, node: ast.expr, value: Any) -> str:
        node = self._resolve(node)
        text = ast.unparse(node)
        if text in {"None", "int", "float", "bool", "str", "torch.Tensor", "torch.Size"}:
            kinds = {"None": type(None), "torch.Tensor": torch.Tensor, "torch.Size": torch.Size}
            kind = kinds.get(text) or {"int": int, "float": float, "bool": bool, "str": str}[text]
            return "" if isinstance(value, kind) else f"{type(value).__name__} is no {text}"
        if isinstance(node, ast.BinOp):
            options = [self._complaint(node.left, value), self._complaint(node.right, value)]
            return "" if "" in options else " and ".join(options)
        if isinstance(node, ast.Name) and node.id in self.trees:
            read = value.__getitem__ if isinstance(value, dict) else lambda name: getattr(value, name)
            return self._first((a, read(f)) for f, a in self._fields(node.id).items())
        if isinstance(node, ast.Subscript):
            head, items = ast.unparse(node.value), _items(node)
            if head == "Optional":
                return "" if value is None else self._complaint(items[0], value)
            if head in {"list", "List", "Iterator", "Sequence"} or (
                head == "tuple" and ast.unparse(items[-1]) == "..."
            ):
                return self._first((items[0], v) for v in value)
            if head in {"dict", "Dict"}:
                return self._first((items[1], v) for v in value.values())
            if head in {"tuple", "Tuple"}:
                if len(items) != len(value):
                    return f"{len(value)} results, {len(items)} declared"
                return self._first(zip(items, value, strict=True))
        return self._wrong_tensor(node, value)

    def _first(self, pairs: Any) -> str:
        return next(filter(None, (self._complaint(node, value) for node, value in pairs)), "")

    def _wrong_tensor(self, node: ast.expr, value: Any) -> str:
        shape, dtype = self._spec(node)
        if not isinstance(value, torch.Tensor):
            return f"{type(value).__name__} is no tensor"
        given = list(value.shape)
        if len(shape) == len(given):  # a name of the result alone, such as a count that data decide
            for dim, size in zip(shape, given, strict=True):
                if isinstance(dim, str) and dim.isidentifier() and dim not in self.sizes:
                    self.sizes[dim] = size
        expected = self._size(shape)
        if given != expected:
            return f"{given} is returned, {shape} = {expected} declared"
        return f"{value.dtype} is returned, {dtype} declared" if dtype not in {None, value.dtype} else ""

    def _value(self, node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), "annotation", "eval"), vars(self.module))

    def _resolve(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._resolve(ast.parse(node.value, mode="eval").body)
        if isinstance(node, ast.Name) and node.id in vars(self.module) and node.id not in self.trees:
            for line in self.lines:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == node.id:
                    return self._resolve(line.value)
        return node


def _items(node: ast.Subscript) -> list[ast.expr]:
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
