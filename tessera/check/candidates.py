"""Every small edit of what a run went through, the likeliest first: of calls, layers, the text and the annotations."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.check.annotation_edits import AnnotationEdit, annotation_edits
from tessera.check.budget import Budget
from tessera.check.call import Call
from tessera.check.history import Site
from tessera.check.layer_rewrites import LayerEdit, layer_edits
from tessera.check.remade import Remade, how_made
from tessera.check.rewrites import Rewrite, rewrites
from tessera.check.run import Outcome, put_back
from tessera.check.stand_ins import stand_in
from tessera.check.surroundings import JOINED, added, takes_what_is_joined
from tessera.check.text_repairs import EditedText, edited_texts
from tessera.check.visited import Place
from tessera.errors import SourceLine
from tessera.shapes.signature import Contract, specs_in
from tessera.shapes.spec import AnySize, OneOr, Several, TensorSpec

Edit = tuple[Site, Rewrite] | LayerEdit | EditedText | AnnotationEdit
_SMALL = 4


@dataclass(frozen=True)
class Candidate:
    """An edit of one line.

    Attributes:
        cost: in edits of one number.
        where: the line.
        text: the edit, as code.
        edit: the same to run with.
        position: of the last call it is of, among all calls.
    """

    cost: float
    where: SourceLine
    text: str
    edit: Edit
    position: int


def _one_apart(base: Outcome) -> bool:
    """Whether there are two sizes of which one is one more: what a slice leaves, and what it was taken of."""
    calls = base.history.calls
    tensors = [t for call in calls for t in (*call.tensors, *torch_internals.tensors_in(call.result))]
    known = {size for tensor in tensors for size in map(base.world.number, tensor.shape) if size is not None}
    return any(size + 1 in known for size in known | set(base.plan.examples.values()) if size > _SMALL)


def candidates(
    base: Outcome,
    gone_through: Mapping[Place, Mapping[str, Any]],
    contract: Contract,
    *,
    has_layers: bool,
    work: Budget,
) -> list[Candidate]:
    """All edits of one line, the cheapest first; of equals the one that ran last.

    Args:
        base: a run in plain numbers in which something is wrong.
        gone_through: the functions that it went through, with their local names.
        contract: of the function that was run.
        has_layers: whether what was run is the module itself, so that its layers may be others.
        work: what looking for them is spent from.
    """
    root = base.root if has_layers else None
    made = how_made(root, _sizes(base), work) if root is not None else None
    found = [
        *_of_calls(base, work),
        *_of_layers(base, made, root, contract),
        *_of_text(base, gone_through, contract, made),
    ]
    return sorted(found, key=lambda one: (one.cost, -one.position))


def _of_text(
    base: Outcome, gone_through: Mapping[Place, Mapping[str, Any]], contract: Contract, made: Remade | None
) -> Iterator[Candidate]:
    """Edits of the text of what ran, and of its annotations."""
    last = {call.where: at for at, call in enumerate(base.history.calls) if call.where is not None}
    sizes = sorted({*_sizes(base), *_declared(contract)})
    ways = _ways_to_return(base, contract)
    begins = contract.where and (contract.where.file, contract.where.line)
    owner = next((place for place in gone_through if place[:2] == begins), None)
    edits = [*edited_texts(gone_through, sizes, error=base.error, sliced=_one_apart(base), returned=(owner, ways))]
    if made is not None:
        edits += edited_texts(made.names, sizes, made)
    for edit in edits:
        if any(type(n) is int and _is_any(n, base) for n in edit.defaults().values()):
            continue
        before = [at for one, at in last.items() if one.file == edit.where.file and one.line < edit.where.line]
        position = last.get(edit.where, max(before, default=0))
        yield Candidate(edit.edit.cost, edit.where, edit.edit.text, edit, position)
    declared = base.plan.examples.values()  # a number that stands for a name is none
    for one in annotation_edits(contract, [size for size in sizes if size not in declared]):
        yield Candidate(one.cost, one.where, one.text, one, 0)


def _is_any(size: int, base: Outcome) -> bool:
    """Whether a number is made of a declared size; no default is."""
    return any(size % example == 0 for example in base.plan.examples.values() if size > 1)


def _declared(contract: Contract) -> set[int]:
    """Numbers that annotations say themselves."""
    specs = [spec for one in (*contract.parameters.values(), contract.returns) for spec in specs_in(one)]
    return {place for spec in specs for place in spec.places or () if isinstance(place, int) and place > 1}


def _ways_to_return(base: Outcome, contract: Contract) -> list[tuple[str, str]]:
    """How the result becomes what is declared, in declared names and as code: in that shape, or cut to it."""
    result, spec = base.result, contract.returns
    if not isinstance(result, torch.Tensor) or not isinstance(spec, TensorSpec):
        return []
    sizes: list[tuple[str, int]] = []
    for place in spec.places or ():
        size = None if isinstance(place, (AnySize, Several, OneOr)) else base.world.size(place)
        if size is None:
            return []
        sizes.append((str(place), size))
    given = [int(size) for size in result.shape]
    if len(sizes) != len(given):
        told, code = (", ".join(str(one[at]) for one in sizes) for at in (0, 1))
        same = math.prod(size for _, size in sizes) == math.prod(given)
        return [(f".reshape({told})", f".reshape({code})")] if same else []
    longer = [axis for axis, (size, (_, wanted)) in enumerate(zip(given, sizes, strict=True)) if size != wanted]
    if len(longer) != 1 or given[longer[0]] < sizes[longer[0]][1]:
        return []
    before = ":, " * longer[0]
    return [(f"[{before}:{told}]", f"[{before}:{code}]") for told, code in [sizes[longer[0]]]]


def _of_calls(base: Outcome, work: Budget) -> Iterator[Candidate]:
    sites: dict[Site, tuple[Call, int]] = {}
    sizes = _sizes(base)
    for position, call in enumerate(base.history.calls):
        if call.site is not None:
            sites[call.site] = call, position
    for site, (call, position) in reversed(sites.items()):
        if work.is_over():
            return
        if call.where is not None:
            for rewrite in _that_matter(call, rewrites(call, sizes, base.world), base, work):
                cost = rewrite.cost + added(rewrite, call, base)
                yield Candidate(cost, call.where, rewrite.text, (site, rewrite), position)


def _of_layers(
    base: Outcome, made: Remade | None, root: torch.nn.Module | None, contract: Contract
) -> Iterator[Candidate]:
    if root is None:
        return
    calls = base.history.calls
    last = {id(call.module): at for at, call in enumerate(calls) if call.module is not None}
    used = [call.module for call in calls if call.module is not None]
    if base.place is not None and base.place.layer:  # it may have raised before it called anything
        used.append(root.get_submodule(base.place.layer))
    declared = base.plan.examples.values()
    fixed = [
        size for size in sorted({*_sizes(base), *_declared(contract)}) if all(size % one for one in declared)
    ]  # no layer is made for any size
    lines, names = (made.lines, made.names) if made is not None else ({}, {})
    known = frozenset(value for one in names.values() for value in one.values() if type(value) is int)
    for edit in layer_edits(root, base.world.mode, used, fixed, lines, known):
        less = JOINED * takes_what_is_joined(edit.last, base)
        yield Candidate(edit.cost - less, edit.where, edit.text, edit, last.get(id(edit.last), len(calls)))


def _that_matter(call: Call, some: Iterator[Rewrite], base: Outcome, work: Budget) -> list[Rewrite]:
    """Those that give another result, the cheapest for each."""
    seen, matter = {_kinds(call.result)}, []
    with put_back(None), base.world.mode, base.world.silent():
        every: list[Rewrite] = []
        with contextlib.suppress(Exception):  # a size that depends on data, a call of another form
            every += some
        for rewrite in sorted(every, key=lambda rewrite: rewrite.cost):
            if work.is_over():
                break
            work.spend()
            with contextlib.suppress(Exception):  # torch does not take it
                function, args, kwargs = rewrite.pieces((call.function, tuple(call.args), call.kwargs))
                kinds = _kinds(rewrite.after(stand_in(function)(*args, **kwargs)))
                if kinds not in seen:
                    seen.add(kinds)
                    matter.append(rewrite)
    return matter


def _kinds(result: Any) -> str:
    """All that is known of a result without its data."""
    leaves, _ = torch_internals.flattened(result)
    return str([(list(leaf.shape), leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves])


def _sizes(base: Outcome) -> list[int]:
    """Numbers that may be what should stand where another does: all that are sizes here."""
    call = base.failing
    tensors = list(call.tensors) if call is not None else torch_internals.tensors_in(base.result)
    if base.root is not None:
        tensors += base.root.parameters()
    found = {base.world.number(size) for tensor in tensors for size in tensor.shape}
    if call is not None and call.name in ("view", "reshape", "unflatten"):  # what one number would have to be
        leaves, _ = torch_internals.flattened((call.args, call.kwargs))
        written = [leaf for leaf in leaves if type(leaf) is int and leaf > 0]
        found.add(math.prod(written))
        whole = (base.world.number(call.tensors[0].numel()) if call.tensors else None) or 0
        for at in range(len(written)):
            size, left = divmod(whole, math.prod(written[:at] + written[at + 1 :]))
            found |= {size} if not left else set()
    if call is not None and call.name.startswith("split"):  # what its parts would have to be of
        leaves, _ = torch_internals.flattened(call.args[1:2])
        found.add(sum(leaf for leaf in leaves if type(leaf) is int))
    return sorted(size for size in found | set(base.plan.examples.values()) if size is not None and size > 1)
