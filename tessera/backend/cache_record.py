"""Whether a compilation came out of the cache, and if not, what of it is new.

Torch's compiler keeps what it compiled under one hash of everything that matters, which does not say what has changed.
Here the parts of that are kept beside it, one record for each subject: the last few that were compiled under its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.artefact.environment import environment
from tessera.program import Program
from tessera.program.remembered import Remembered

KEPT = 8  # records of one subject: as many shapes of batches, or models of one class
_RECORDS = Remembered("compiled.json")


class CacheRecord:
    """One compilation: made before it, asked after it."""

    def __init__(self, program: Program) -> None:
        self._subject, self._key = program.name, key_of(program)
        self._before = torch_internals.cache_counts()

    def note(self) -> str:
        """What the Report says; the compilation is remembered."""
        now = torch_internals.cache_counts()
        hits, misses = (now[kind] - self._before[kind] for kind in ("hit", "miss"))
        found = _RECORDS.get(self._subject)
        known = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        if self._key not in known:
            _RECORDS.put(self._subject, [self._key, *known][:KEPT])
        if not misses:
            return f"cache: hit ({hits} parts)" if hits else "cache: not used"
        some = f"{misses} of {hits + misses} parts were" if hits else "it was"
        return f"cache: miss, {some} compiled anew: {_reason(self._key, known)}"


def key_of(program: Program) -> dict[str, str]:
    """What a compilation depends on, in parts: the value of each, or its hash where that is long."""
    inputs = [node.meta.get("val") for node in program.placeholders]
    shapes = [(tuple(map(str, v.shape)), str(v.dtype), str(v.device)) for v in inputs if isinstance(v, torch.Tensor)]
    here = environment()
    return {
        "torch": here["torch"],
        "Tessera": here["tessera"],
        "Python": here["python"],
        "processor": f"{here['processor']} {_hash(here['instructions'])}",
        "threads": str(torch.get_num_threads()),
        "settings": _hash(torch_internals.inductor_settings_text()),
        "precision": str(program.precision),
        "shapes": _hash(shapes),
        "graph": _hash(list(_operations(program.graph))),
    }


def _operations(graph: fx.Graph) -> Iterator[str]:
    """What is computed, without the sizes of it."""
    numbers = {node: number for number, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        yield f"{node.target if node.op == 'call_function' else node.op} {_words((node.args, node.kwargs), numbers)}"


def _words(value: Any, numbers: Mapping[fx.Node, int]) -> str:
    if isinstance(value, fx.Node):
        return f"%{numbers[value]}"
    if isinstance(value, tuple | list):
        return f"({' '.join(_words(each, numbers) for each in value)})"
    if isinstance(value, dict):
        return f"({' '.join(f'{key} {_words(each, numbers)}' for key, each in sorted(value.items()))})"
    return "" if isinstance(value, int | torch.SymInt) and not isinstance(value, bool) else str(value)


def _reason(key: Mapping[str, str], known: list[dict[str, str]]) -> str:
    if not known:
        return "nothing of this name was compiled before"
    nearest = min(known, key=lambda other: sum(other.get(part) != value for part, value in key.items()))
    changed = [part for part, value in key.items() if nearest.get(part) != value]
    if not changed:
        return "it was compiled before, and the cache has it no more"
    short = {part for part in changed if part in ("torch", "Tessera", "Python", "threads", "precision")}
    told = [f"{part} was {nearest.get(part)} and is {key[part]}" if part in short else part for part in changed]
    return f"since the most similar one {', '.join(told)} changed"


def _hash(value: Any) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:16]
