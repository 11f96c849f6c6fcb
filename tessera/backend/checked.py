"""Compiled code that is checked against the same Program run one operation at a time: ``verify="shadow"``."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera.backend.blame import End, blame, wrong_ends
from tessera.backend.evaluation import Judge, evaluate
from tessera.backend.inductor import Executable
from tessera.backend.rewrite import Pass
from tessera.debug.shadow import Schedule, Shadow
from tessera.errors import MismatchError
from tessera.program import Mismatch, Precision, Program, Report
from tessera.users_code import is_library, users_line

_EPS = {"bf16": 2**-7, "fp16": 2**-10, "tf32": 2**-10, "fp8": 2**-2, "auto": 2**-7}


@dataclass
class Verification:
    """What a job is verified by, and where disagreements go."""

    shadow: Shadow
    report: Report
    own_passes: Sequence[Pass]
    precision: Precision

    @property
    def eps(self) -> float:
        """The coarsest rounding that was asked for."""
        return max((_EPS.get(name, 0.0) for name in self.precision.names), default=0.0)

    def disagree(self, found: Mismatch) -> None:
        """Note a disagreement, and warn or raise.

        Raises:
            MismatchError: if that was asked for.
        """
        if found.where is None or is_library(found.where.file):  # a layer of torch's, without a line of the user's
            found = dataclasses.replace(found, where=users_line(sys._getframe()))  # noqa: SLF001 - the way to callers
        known = any((found.node, found.where) == (m.node, m.where) for m in self.report.mismatches)
        if not known:
            self.report.add(found)
        error = MismatchError(
            f"{found.subject}: compiled and plain results disagree at {found.node}.",
            f"They agree within what rounding explains; here {found.said}.",
            "From here on the plain ones are used. Leave out what is named, or report it with this Report.",
            found.where,
        )
        if self.shadow.on_mismatch == "raise":
            raise error
        if not known:
            warnings.warn(str(error), RuntimeWarning, stacklevel=3)


def check(executable: Executable, verification: Verification) -> None:
    """Have calls of ``executable`` verified against the Program before any pass, if it kept that."""
    if executable.original is not None:
        executable.call = _Checked(executable, executable.original, verification)


class _Checked:
    """Stands in for the ``call`` of an executable."""

    def __init__(self, executable: Executable, original: Program, verification: Verification) -> None:
        self._call, self._original, self._verification = executable.call, original, verification
        self._compilation = executable.compilation
        self._failed = False  # from then on the Program runs one operation at a time
        self._schedule = Schedule(verification.shadow)

    def __call__(self, inputs: list[Any]) -> Sequence[Any]:
        if not (self._failed or self._schedule.due()):
            return self._call(inputs)
        given = list(inputs)
        if self._failed:
            plain = evaluate(self._original, given, exactly=False, draws=True)
            self._take(given, plain.written)
            return plain.results()
        before = [v.detach().clone() if isinstance(v, torch.Tensor) else v for v in given]
        random = torch.get_rng_state()
        results = self._call(inputs)
        after = torch.get_rng_state()
        torch.set_rng_state(random)
        try:
            plain = evaluate(self._original, before)
        except Exception as error:  # what cannot be run one by one cannot be compared
            self._unverified(error)
            return results
        finally:
            torch.set_rng_state(after)
        with torch.no_grad():
            judge = Judge(plain, before, self._verification.eps)
            ends: dict[End, Any] = {("result", i): value for i, value in enumerate(results)}
            off = wrong_ends(plain, judge, ends | {("update", i): given[i] for i in plain.written})
        if not off:
            return results
        self._failed = True
        self._take(given, plain.written)
        found = blame(plain, judge, before, self._verification.own_passes, off)
        try:
            self._verification.disagree(Mismatch(self._original.name, found.operator, str(found), found.where))
        except MismatchError:
            self._take(given, dict(enumerate(before)))
            torch.set_rng_state(random)
            raise
        return plain.results()

    @torch.no_grad()
    def _take(self, given: Sequence[Any], values: dict[int, Any]) -> None:
        """Put ``values`` into the inputs that were written."""
        for position, value in values.items():
            into = given[position]
            if isinstance(into, torch.Tensor) and not torch.equal(into, value):
                into.detach().copy_(value)

    def _unverified(self, error: Exception) -> None:
        said = f"not verified: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        if said not in self._compilation.notes:
            self._compilation.notes.append(said)
