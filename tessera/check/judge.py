"""What a run proves: nothing, that the function itself refuses such sizes, or a finding and where it was born."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.diagnosis import Clash, clashes
from tessera.check.finding import Finding
from tessera.check.history import Call
from tessera.check.run import Outcome, Place
from tessera.errors import ShapeError, SourceLine
from tessera.shapes.message import describe
from tessera.shapes.signature import Contract
from tessera.shapes.spec import AnySize, OneOr, Several, TensorSpec, shape_text
from tessera.shapes.unify import Bindings, Mismatch, tensors_of, unify
from tessera.users_code import source_line_at

_PYTHON_ERRORS = (AttributeError, NameError, TypeError, IndexError, KeyError, ValueError, ZeroDivisionError)
_DTYPE_WORDS = ("dtype", "type", "Long", "Bool", "bool", "integer", "indices", "Half", "Float")


def refused(outcome: Outcome) -> bool:
    """Whether the function's own ``raise`` or ``assert`` says that it does not take this."""
    place = outcome.place
    if outcome.error is None or place is None or not place.by_user:
        return False
    return isinstance(outcome.error, AssertionError) or place.where.line in _raising_lines(place.where.file)


@functools.lru_cache(maxsize=64)
def _raising_lines(file: str) -> frozenset[int]:
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return frozenset()
    raising = [node for node in ast.walk(tree) if isinstance(node, (ast.Raise, ast.Assert))]
    return frozenset(line for node in raising for line in range(node.lineno, (node.end_lineno or node.lineno) + 1))


def could_not_run(outcome: Outcome) -> str | None:
    """Why a run that raised says nothing of the function: it needs data, or what torch cannot do without."""
    error = outcome.error
    if outcome.place is None or torch_internals.needs_data(error) or isinstance(error, NotImplementedError):
        return f"{type(error).__name__}: {_first_line(error)}"
    if outcome.place.by_user and not isinstance(error, (*_PYTHON_ERRORS, ShapeError)):
        return f"it raises {type(error).__name__}"
    return None


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]


def finding_of(outcome: Outcome, contract: Contract) -> Finding | None:
    """What is wrong where a run raised; None where sizes that nobody declared may be to blame."""
    error, place, world = outcome.error, outcome.place, outcome.world
    if place is None:
        return None
    if isinstance(error, ShapeError) and error.mismatch is not None:
        text = describe(error.mismatch, world.text)
        return _at(place, "call", contract, text.why, text.expected, text.received, text.fixes)
    call = outcome.failing
    if not place.by_user and call is not None:
        return _finding_in_call(outcome, contract, place, call)
    if world.has_free_sizes and isinstance(error, (ValueError, IndexError)):
        return None
    return _at(place, "python", contract, f"{type(error).__name__}: {_first_line(error).rstrip('.')}.")


def _finding_in_call(outcome: Outcome, contract: Contract, place: Place, call: Call) -> Finding | None:
    world = outcome.world
    found = clashes(call, world)
    if any(world.is_free(size) for clash in found for size in (*clash.tensor.shape, clash.size)):
        return None
    if not found:
        if world.has_free_sizes:
            return None
        shapes = ", ".join(shape_text(world.texts(t.shape)) for t in call.tensors)
        said = world.message_text(_first_line(outcome.error)).rstrip(".")
        why = f"{call.name} does not take this: {said}."
        return _at(place, "shape", contract, why, "", shapes)
    return _blamed(outcome, contract, place, found)


def _blamed(outcome: Outcome, contract: Contract, place: Place, found: list[Clash]) -> Finding:
    """Of the operands that could be wrong the one whose size was changed last, by the line that did."""
    world, history = outcome.world, outcome.history
    candidates = []
    for clash in found:
        born = history.born(clash.tensor, clash.axis, clash.size)
        candidates.append((-1 if born is None else history.position(born), clash, born))
    _, clash, born = max(candidates, key=lambda candidate: candidate[0])
    received = shape_text(world.texts(clash.tensor.shape))
    finding = _at(place, "shape", contract, clash.why, clash.expected, received, clash.fixes)
    return _moved(finding, born)


def _moved(finding: Finding, born: Call | None) -> Finding:
    """The same finding at the line where what is wrong was born."""
    if born is None or born.where is None or (born.where.file, born.where.line) == (finding.file, finding.line):
        return finding
    return replace(finding, where=born.where, hurts=finding.where, columns=None)


def _at(
    place: Place,
    kind: Any,
    contract: Contract,
    why: str,
    expected: str = "",
    received: str = "",
    fixes: tuple[str, ...] = (),
) -> Finding:
    return Finding(
        kind, "error", contract.name, place.where, why, expected, received, fixes, None, place.layer, place.columns
    )


def declared_result(outcome: Outcome, contract: Contract) -> Finding | None:
    """Whether the result is what the annotation says; a finding where it is not."""
    if contract.returns is None:
        return None
    world = outcome.world
    bound = Bindings({name: world.symbols[name] for name in contract.names})
    with world.silent():
        unify(contract.parameters, outcome.arguments, bound)
        wrong = unify({"return value": contract.returns}, {"return value": outcome.result}, bound)
    if not isinstance(wrong, Mismatch):
        return None
    text = describe(wrong, world.text)
    where = _return_line(outcome, contract)
    finding = Finding("return", "error", contract.name, where, text.why, text.expected, text.received, text.fixes)
    if not isinstance(wrong.given, torch.Tensor):
        return finding
    if wrong.kind in ("size", "rank") and any(world.is_free(size) for size in wrong.given.shape):
        return None
    return _moved(finding, _born_wrong(outcome, wrong))


def _born_wrong(outcome: Outcome, wrong: Mismatch) -> Call | None:
    """The call that made a result what it should not be."""
    if wrong.kind == "rank":
        return outcome.history.rank_born(wrong.given)
    if wrong.kind != "size" or wrong.axis is None or not isinstance(wrong.spec, TensorSpec):
        return None
    rank = wrong.given.dim()
    declared = (wrong.spec.aligned(rank) or [])[wrong.axis]
    size = None if isinstance(declared, (OneOr, AnySize, Several)) else outcome.world.size(declared)
    return outcome.history.born(wrong.given, wrong.axis - rank, size)


def _return_line(outcome: Outcome, contract: Contract) -> SourceLine:
    """The line of the ``return`` that ran; of the ``def`` where it cannot be known."""
    if contract.where is None:
        return SourceLine("<unknown>", 0)
    lines = _return_lines(contract.where.file, contract.where.line)
    last = outcome.history.last_line_in(contract.where.file, lines)
    line = last if last is not None else (lines[-1] if lines else contract.where.line)
    return source_line_at(contract.where.file, line)


@functools.lru_cache(maxsize=256)
def _return_lines(file: str, first: int) -> tuple[int, ...]:
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return ()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if start == first:
                return tuple(sorted(r.lineno for r in _own_nodes(node) if isinstance(r, ast.Return)))
    return ()


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own_nodes(child)


def has_own_dtype(outcome: Outcome, contract: Contract) -> list[str]:
    """Arguments without a declared dtype that go into the call that failed, by place: another dtype may be meant."""
    call, error = outcome.failing, outcome.error
    about_dtypes = any(word in str(error) for word in _DTYPE_WORDS)
    if error is None or (call is None and not about_dtypes):
        return []
    found = []
    for name, expected in contract.parameters.items():
        if name not in outcome.arguments:
            continue
        for leaf in tensors_of(expected, outcome.arguments[name], name):
            if isinstance(leaf, Mismatch) or leaf[1].dtypes:
                continue
            given = call is None or any(leaf[2] is tensor for tensor in call.tensors)
            if given or (call and about_dtypes and outcome.history.comes_of(call.tensors, leaf[2])):
                found.append(leaf[0])
    return found
