"""What is in the corpus: every program of a file with the line of its bug, read from the source."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from functools import cache
from types import CodeType, ModuleType
from typing import Any


HERE = Path(__file__).parent


@dataclass(frozen=True)
class Program:
    """One program. ``broken`` programs have one bug, at ``bug``; plain PyTorch may only notice at one of ``hurts``."""

    name: str
    file: Path
    place: int  # in the file's list
    signature: ast.FunctionDef
    bug: int | None
    hurts: tuple[int, ...]

    @property
    def broken(self) -> bool:
        return self.bug is not None

    def load(self, *, annotated: bool = True) -> tuple[ModuleType, Callable[..., Any]]:
        """Its module, freshly imported, and the function, or an instance of the ``torch.nn.Module``.

        Without its annotations nothing but PyTorch judges it.
        """
        module = ModuleType(f"corpus_{self.file.stem}")
        module.__file__ = str(self.file)
        sys.modules[module.__name__] = module  # a dataclass looks its module up
        exec(_compiled(str(self.file), self.file.read_text()), vars(module))
        if not annotated:
            getattr(getattr(module, self.name), "__annotations__", {}).clear()
        entry = module.PROGRAMS[self.place]
        makes = isinstance(entry, type) or getattr(entry, "__name__", "") == "<lambda>"
        return module, entry() if makes else entry


def tree_of(file: Path) -> ast.Module:
    return _parsed(file.read_text())


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def _compiled(file: str, text: str) -> CodeType:
    return compile(text, file, "exec", dont_inherit=True)


def programs(kind: str) -> list[Program]:
    """All programs of the files ``broken_*.py`` or ``right_*.py``."""
    return [program for file in sorted(HERE.glob(f"{kind}_*.py")) for program in programs_of(file)]


def programs_of(file: Path) -> list[Program]:
    text = file.read_text()
    tree = tree_of(file)
    tops = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    found, before = [], 0
    for place, name in enumerate(names_of(tree)):
        end = tops[name].end_lineno or 0
        lines = list(enumerate(text.splitlines(), start=1))[before:end]
        bugs = [number for number, line in lines if re.search(r"# BUG\b", line)]
        hurts = [number for number, line in lines if re.search(r"# HURTS\b", line)]
        broken = file.stem.startswith("broken_")
        assert len(bugs) == broken, f"{file.name}: {name} has {len(bugs)} lines marked as its bug"
        assert broken or not hurts
        bug = bugs[0] if bugs else None
        found.append(Program(name, file, place, signature_of(tree, name), bug, tuple(hurts)))
        before = end
    return found


def names_of(tree: ast.Module) -> list[str]:
    (entries,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "PROGRAMS"
        and isinstance(node.value, ast.List)
    )
    return [_name(entry) for entry in entries.elts]


def _name(entry: ast.expr) -> str:
    if not isinstance(entry, ast.Lambda):
        return ast.unparse(entry)
    assert isinstance(entry.body, ast.Call)
    made = ast.unparse(entry.body.func)
    return ast.unparse(entry.body.args[0]) if made == "tessera.function" else made


def signature_of(tree: ast.Module, name: str) -> ast.FunctionDef:
    """Its own, or that of its ``forward``."""
    (node,) = (top for top in tree.body if isinstance(top, (ast.FunctionDef, ast.ClassDef)) and top.name == name)
    if isinstance(node, ast.FunctionDef):
        return node
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "forward":
            return method
    return signature_of(tree, ast.unparse(node.bases[0]))
