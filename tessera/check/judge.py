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
from tessera.check.call import Call
from tessera.check.constructors import constructor_line
from tessera.check.diagnosis import Clash, clashes
from tessera.check.finding import Finding
from tessera.check.run import Outcome, Place
from tessera.errors import ShapeError, SourceLine
from tessera.shapes.message import describe
from tessera.shapes.signature import Contract, specs_in
from tessera.shapes.spec import AnySize, OneOr, Several, TensorSpec, shape_text
from tessera.shapes.unify import Bindings, Mismatch, tensors_of, unify
from tessera.users_code import source_line_at

_PYTHON_ERRORS = (AttributeError, NameError, TypeError, IndexError, KeyError, ValueError, ZeroDivisionError)
_NO_SYMBOLS = (
    "expected to contain only concrete integers",
    "with symbolic sizes",
    "modify sizes for customized tensor",
    "INTERNAL ASSERT FAILED",
    "SymInt",
    "SymFloat",
    "SymBool",
)
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


def knows_no_symbols(outcome: Outcome) -> bool:
    """Whether a run ended at an operator of torch, or of Python, that takes plain numbers for sizes alone."""
    return outcome.error is not None and any(words in str(outcome.error) for words in _NO_SYMBOLS)


def could_not_run(outcome: Outcome) -> str | None:
    """Why a run that raised says nothing of the function: it needs data, or what torch cannot do without."""
    error = outcome.error
    if (
        outcome.place is None
        or knows_no_symbols(outcome)
        or torch_internals.needs_data(error)
        or isinstance(error, NotImplementedError)
    ):
        return f"{type(error).__name__}: {_first_line(error)}"
    if (
        not outcome.place.by_user
        and isinstance(error, AssertionError)
        and not any(w in str(error) for w in _DTYPE_WORDS)
    ):
        return "an assertion of torch's own failed on tensors without data"
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
    found = clashes(call, world, str(outcome.error))
    if any(world.is_free(size) for clash in found for size in (clash.tensor.shape[clash.axis], clash.size)):
        return None
    if not found:
        if world.has_free_sizes:
            return None
        shapes = ", ".join(shape_text(world.texts(t.shape)) for t in call.tensors)
        said = world.message_text(_first_line(outcome.error)).rstrip(".")
        why = f"{call.name} does not take this: {said}."
        finding = _at(place, "shape", contract, why, "", shapes)
        about_dtypes = any(word in said for word in _DTYPE_WORDS)
        changed = [outcome.history.dtype_born(tensor) for tensor in call.tensors] if about_dtypes else []
        return _moved(finding, next((one for one in reversed(changed) if one is not None), None), outcome)
    return _blamed(outcome, contract, place, call, found)


def _blamed(outcome: Outcome, contract: Contract, place: Place, call: Call, found: list[Clash]) -> Finding:
    """Of the operands that could be wrong the one whose size was changed last, by the line that did."""
    world, history = outcome.world, outcome.history
    candidates = []
    for clash in found:
        born = history.born(clash.tensor, clash.axis, clash.size)
        candidates.append((-1 if born is None else history.position(born), clash, born))
    _, clash, born = max(candidates, key=lambda candidate: candidate[0])
    outcome.tied = _tie(outcome, contract, found, [one for _, _, one in candidates])
    if call.module is not None and clash.of_layer and not isinstance(clash.tensor.shape[clash.axis], torch.SymInt):
        born = call  # a layer of another size than it is given; no layer is made for a size that may be any
    received = shape_text(world.texts(clash.tensor.shape))
    finding = _at(place, "shape", contract, clash.why, clash.expected, received, clash.fixes)
    return _moved(finding, born, outcome)


def _moved(finding: Finding, born: Call | None, outcome: Outcome) -> Finding:
    """The same finding at the line where what is wrong was born: that of a layer is the one that made it."""
    where = None if born is None or born.name in _COMBINES else born.where
    made_here = born is not None and (born is outcome.failing or finding.kind == "return" or _same_line(born, finding))
    if born is not None and born.module is not None and outcome.root is not None and made_here:
        path = next((name for name, one in outcome.root.named_modules() if one is born.module), "")
        where = constructor_line(outcome.root, path) or where
    if where is None or (where.file, where.line) == (finding.file, finding.line):
        return finding
    return replace(finding, where=where, hurts=finding.where, columns=None)


def _tie(outcome: Outcome, contract: Contract, found: list[Clash], born: list[Call | None]) -> tuple[str, int] | None:
    """The name and the number, where all that is wrong is that a size an argument came with should be a number."""
    for clash, made in zip(found, born, strict=True):
        name = outcome.world.text(clash.tensor.shape[clash.axis])
        came_in = made is None and outcome.history.came_in_so(clash.tensor, clash.axis)
        if any(_is_cut(other, clash.size, outcome) for other in found):  # a table that ends there is no such size
            continue
        if came_in and isinstance(clash.size, int) and name in outcome.plan.examples:
            of_layer = outcome.failing is not None and outcome.failing.module is not None
            return (name, clash.size) if of_layer or not _is_of_batches(name, contract) else None
    return None


def _is_of_batches(name: str, contract: Contract) -> bool:
    """Whether a name comes first in all that it is in, arguments and results: no size of a module's is there."""
    given = [spec for one in contract.parameters.values() for spec in specs_in(one)]
    made = specs_in(contract.returns) if contract.returns is not None else []
    places = [[str(place) for place in spec.places or ()] for spec in (*given, *made)]
    first = [row[0] == name and len(row) > 1 and name not in row[1:] for row in places if name in row]
    return all(first) and any(name in row for row in places[len(given) :])


def _is_cut(clash: Clash, size: Any, outcome: Outcome) -> bool:
    """Whether a tensor has a size because a slice of it went on beyond its end."""
    made = outcome.history.made_by(clash.tensor)
    if made is None or made.name != "__getitem__" or size is None:
        return False
    return outcome.world.same(clash.tensor.shape[clash.axis], size)


def is_cut_short(outcome: Outcome) -> bool:
    """Whether a slice went on beyond the end of what it was taken of: with shorter sizes it would have them all."""
    return any(call.name == "__getitem__" and _is_beyond(call, outcome) for call in outcome.history.calls)


def _is_beyond(call: Call, outcome: Outcome) -> bool:
    given = call.args[0].shape
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if any(item is None or item is ... or isinstance(item, torch.Tensor) for item in index):
        return False
    ends = [(item.stop, size) for item, size in zip(index, given, strict=False) if isinstance(item, slice)]
    known = [(end, size) for end, size in ends if isinstance(end, (int, torch.SymInt))]
    numbers = [(outcome.world.number(end), outcome.world.number(size)) for end, size in known]
    return any(end is not None and size is not None and end > size for end, size in numbers)


def _same_line(call: Call, finding: Finding) -> bool:
    return call.where is not None and (call.where.file, call.where.line) == (finding.file, finding.line)


# What makes new sizes of what it is given as it is meant to: what is wrong is how the result is used.
_COMBINES = {
    *("__getitem__", "matmul", "__matmul__", "mm", "bmm", "einsum", "topk", "embedding", "index_add", "index_select"),
    *("gather", "cdist", "diagonal", "unbind", "stack", "scaled_dot_product_attention", "multi_head_attention_forward"),
    *("index_add_", "bincount", "nonzero", "outer", "cross_entropy", "broadcast_tensors", "meshgrid"),
}


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
    return _moved(finding, _born_wrong(outcome, wrong, where), outcome)


def _born_wrong(outcome: Outcome, wrong: Mismatch, where: SourceLine) -> Call | None:
    """The call that made a result, returned in line ``where``, what it should not be."""
    if wrong.kind == "rank":
        return outcome.history.rank_born(wrong.given)
    if wrong.kind == "dtype":
        return outcome.history.dtype_born(wrong.given) or _made_before(outcome, wrong.given, where)
    if wrong.kind != "size" or wrong.axis is None or not isinstance(wrong.spec, TensorSpec):
        return None
    rank = wrong.given.dim()
    declared = (wrong.spec.aligned(rank) or [])[wrong.axis]
    size = None if isinstance(declared, (OneOr, AnySize, Several)) else outcome.world.size(declared)
    return outcome.history.born(wrong.given, wrong.axis - rank, size)


def _made_before(outcome: Outcome, given: torch.Tensor, where: SourceLine) -> Call | None:
    """The call that made a tensor, where the line that returns it only names what is returned."""
    words = where.code.partition("#")[0].split(maxsplit=1)
    only_names = words[:1] == ["return"] and all(word.strip().isidentifier() for word in words[-1].split(","))
    return outcome.history.made_by(given) if only_names else None


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
