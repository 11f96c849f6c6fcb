"""Which memory a compiled Program holds when, read from the wrapper that Inductor wrote.

    buf0 = empty_strided_cpu((128, 64), (64, 1), torch.float32)     begins before the next call
    buf3 = reinterpret_tensor(buf0, (64, 128), (1, 64), 0)          another name for the same memory
    del buf0                                                        ends with its last name

What goes in belongs to the caller and is not counted.
"""

from __future__ import annotations

import ast

from tessera.backend.wrapper_calls import buffer_sizes, called
from tessera.program import BufferLife


def buffer_timeline(source: str) -> list[BufferLife]:
    """The memory that the wrapper ``source`` allocates, in the order in which it does."""
    tree = ast.parse(source)
    function = next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "call"), None)
    if function is None:
        return []
    reader = _Reader(buffer_sizes(source))
    for statement in function.body:
        reader.read(statement)
    return reader.finished()


class _Reader:
    """Reads one statement after the other; ``_names`` are the buffers' by now, each with the life of its memory."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self._sizes = sizes
        self._names: dict[str, BufferLife] = {}
        self._lives: list[BufferLife] = []
        self._calls = 0

    def read(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Delete(targets):
                for target in targets:
                    if isinstance(target, ast.Name):
                        self._drop(target.id)
            case ast.Assign([ast.Name(name)], value):
                self._assign(name, value)
            case _:
                pass
        self._calls += called(statement) is not None

    def _assign(self, name: str, value: ast.expr) -> None:
        self._drop(name)
        match value:
            case ast.Name(of) if of in self._names:
                self._names[name] = self._names[of]
            case ast.Call(ast.Name("reinterpret_tensor"), [ast.Name(of), *_]) if of in self._names:
                self._names[name] = self._names[of]
            case _ if self._sizes.get(name):
                life = BufferLife(name, self._sizes[name], self._calls, -1)
                self._names[name] = life
                self._lives.append(life)

    def _drop(self, name: str) -> None:
        life = self._names.pop(name, None)
        if life is not None and all(other is not life for other in self._names.values()):
            life.end = self._calls

    def finished(self) -> list[BufferLife]:
        for life in self._lives:
            if life.end < 0:
                life.end = self._calls
        return self._lives
