"""Bugs nobody chose: one small edit of a right program, kept when PyTorch proves the shape wrong for all sizes tried.

``python -m tests.check.corpus.mutations FOLDER COUNT SEED`` writes them, one file each, with the line marked.
"""

from __future__ import annotations

import ast
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

from tests.check.corpus.programs import Program, names_of, programs, signature_of, tree_of
from tests.check.corpus.running import outcomes

OF_DIMS = frozenset(
    "amax amin argmax argmin cat chunk cumsum flatten flip gather log_softmax logsumexp max mean min movedim norm "
    "normalize prod roll select softmax split squeeze stack std sum transpose unbind unflatten unsqueeze var".split()
)
LEFT_OUT = frozenset({"contiguous", "permute", "squeeze", "t", "transpose", "unsqueeze"})
BUILT_IN = frozenset({"enumerate", "functional_call", "getattr", "hasattr", "isinstance", "map", "range", "zip"})
NOT_OF_SHAPE = ("AttributeError", "LayerError", "NameError", "TypeError", "UnboundLocalError", "ZeroDivisionError")
OF_VALUES = re.compile(r"out of bounds for dim|out of range in self|Target \d|num_classes|positive.definite|singular")


@dataclass(frozen=True)
class Edit:
    kind: str
    node: ast.expr
    text: str


@dataclass(frozen=True)
class Mutant:
    """A right program with one edit; its bug is on ``program.bug``, PyTorch raises on one of ``program.hurts``."""

    kind: str
    program: Program
    before: str
    after: str


def mutants(folder: Path, count: int, seed: int = 0) -> Iterator[Mutant]:
    """At most ``count`` mutants, as many of one kind as of another, each in a file of its own under ``folder``."""
    by_kind: dict[str, list[tuple[Program, Edit]]] = {}
    for program in programs("right"):
        for edit in edits_of(program):
            by_kind.setdefault(edit.kind, []).append((program, edit))
    made = 0
    for places in by_kind.values():
        random.Random(seed).shuffle(places)
    while made < count and any(by_kind.values()):
        for places in by_kind.values():
            mutant = None
            while places and mutant is None and made < count:
                mutant = _written(folder / f"mutant_{made}.py", *places.pop())
            if mutant is not None:
                yield mutant
                made += 1


def edits_of(program: Program) -> list[Edit]:
    tree = tree_of(program.file)
    nodes = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    names = names_of(tree)
    before = nodes[names[program.place - 1]].end_lineno or 0 if program.place else 0
    inside = [node for node in nodes.values() if before < node.lineno <= nodes[program.name].lineno]
    found = [edit for top in inside for node in ast.walk(top) for edit in _edits(node)]
    return [edit for edit in found if edit.node.lineno == edit.node.end_lineno and edit.text != ast.unparse(edit.node)]


def _edits(node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Call):
        yield from _edits_of_call(node)
    elif isinstance(node, ast.Attribute) and node.attr in {"mT", "T"}:
        yield Edit("transpose", node, ast.unparse(node.value))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield Edit("matmul", node, f"({ast.unparse(node.right)} @ {ast.unparse(node.left)})")
    elif isinstance(node, ast.Slice):
        for bound in (node.lower, node.upper):
            if (value := _integer(bound)) is not None and bound is not None:
                yield Edit("slice", bound, str(value + (1 if value >= 0 else -1)))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "->" in node.value:
        start, _, letters = node.value.partition("->")
        if len(letters) > 1 and "." not in letters:
            yield Edit("einsum", node, f'"{start}->{letters[1]}{letters[0]}{letters[2:]}"')
            yield Edit("einsum", node, f'"{start}->{letters[:-1]}"')
    elif isinstance(node, ast.Subscript):
        yield from _edits_of_index(node)


def _edits_of_call(node: ast.Call) -> Iterator[Edit]:
    called = ast.unparse(node.func)
    name, plain = called.rsplit(".", maxsplit=1)[-1], [arg for arg in node.args if not isinstance(arg, ast.Starred)]
    of_torch = called.startswith(("torch.", "F.", "nn."))
    for word in node.keywords:
        if word.arg == "keepdim":
            yield Edit("keepdim", word.value, "False")
        elif word.arg in {"dim", "dims"} and (value := _integer(word.value)) is not None:
            yield Edit("dim", word.value, str(value - 1 if value else 1))
    if name in OF_DIMS:
        for arg in plain[of_torch:]:
            if (value := _integer(arg)) is not None:
                yield Edit("dim", arg, str(value - 1 if value else 1))
    if called.startswith(("nn.", "tessera.nn.")):
        for arg in plain:
            if (value := _integer(arg)) is not None and value > 0:
                yield Edit("layer size", arg, str(value * 2))
    if (
        isinstance(node.func, ast.Attribute)
        and not of_torch
        and name in {"transpose", "permute", "t", "unsqueeze", "squeeze"}
    ):
        yield Edit("left out", node, ast.unparse(node.func.value))
    if called in {"torch.cat", "torch.stack"}:
        yield Edit("cat/stack", node.func, "torch.stack" if called == "torch.cat" else "torch.cat")
    if name in {"view", "reshape"} and len(plain) > 2:
        yield Edit("view", plain[-1], ast.unparse(plain[-2]))
    if (
        isinstance(node.func, ast.Name)
        and len({ast.unparse(arg) for arg in plain[:2]}) > 1
        and not node.keywords
        and name not in BUILT_IN
        and name[0].islower()
    ):
        swapped = [ast.unparse(arg) for arg in (plain[1], plain[0], *plain[2:])]
        yield Edit("arguments", node, f"{name}({', '.join(swapped)})")


def _edits_of_index(node: ast.Subscript) -> Iterator[Edit]:
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if ast.unparse(node.value) in {"Tensor", "ts.Tensor", "tessera.Tensor"}:
        names = [item for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        for name in names:
            if name.value.isidentifier():
                yield Edit("annotation", name, f'"{name.value}+1"')
    elif any(isinstance(item, ast.Constant) and item.value is None for item in items):
        texts = [ast.unparse(item) for item in items]
        if len(texts) > 1 and texts[-1] != texts[-2]:
            texts[-2:] = texts[:-3:-1]
            yield Edit("index", node, f"{ast.unparse(node.value)}[{', '.join(texts)}]")
        elif len(texts) == 1:
            yield Edit("index", node, f"{ast.unparse(node.value)}[..., None]")


def _integer(node: ast.expr | None) -> int | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _integer(node.operand)
        return None if value is None else -value
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def _written(file: Path, program: Program, edit: Edit) -> Mutant | None:
    lines = program.file.read_bytes().splitlines(keepends=True)
    line, node = edit.node.lineno, edit.node
    before = lines[line - 1]
    after = before[: node.col_offset] + edit.text.encode() + before[node.end_col_offset :]
    lines[line - 1] = after.rstrip() + b"  # BUG\n"
    file.write_bytes(b"".join(lines))
    mutant = replace(program, file=file, signature=signature_of(tree_of(file), program.name), bug=line)
    hurts: set[int] = set()
    for turn in range(3):
        try:
            wrong = [outcome for outcome in outcomes(mutant, turn) if outcome.complaint]
        except Exception:  # noqa: BLE001 - the edit broke more than a shape, or what makes its arguments
            return None
        if not wrong or any(not _of_shape(outcome.complaint) for outcome in wrong):
            return None
        hurts |= {outcome.line for outcome in wrong if outcome.line is not None}
    program = replace(mutant, hurts=tuple(sorted(hurts - {line})))
    return Mutant(edit.kind, program, before.decode().strip(), after.decode().strip())


def _of_shape(complaint: str) -> bool:
    return not complaint.startswith(NOT_OF_SHAPE) and not OF_VALUES.search(complaint)


if __name__ == "__main__":
    for found in mutants(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])):
        place = f"{found.program.file}:{found.program.bug}"
        print(f"{place} [{found.kind}] {found.program.name}: {found.after}  # hurts {found.program.hurts}", flush=True)
