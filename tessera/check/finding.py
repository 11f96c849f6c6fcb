"""What a check found: one ``Finding`` a cause, and the ``CheckReport`` of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tessera.errors import SourceLine

Kind = Literal["shape", "return", "call", "python", "annotation", "numerics", "size", "import"]
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One defect, or what looks like one.

    Attributes:
        kind: shape (two sizes that should be one), return (the result is not what was declared), call (an argument of
            an annotated function is not), python (the code raises by itself), annotation, numerics, size (right for
            some sizes alone), import (a file that cannot be imported).
        severity: error, or warning.
        function: the annotated function it was found in.
        where: the line at which what is wrong was born.
        hurts: the line at which it is noticed, where that is another one.
        layer: the path of the layer that was running, such as ``blocks.3.attn``.
        expected, received: what should be and what is, with declared names: ``Tensor["B", "S", 512]``.
        why: a sentence or two.
        fixes: what to write instead, the likeliest first.
        columns: of the code in ``where`` that raised, from 0, where it is known.
        others: lines that may be what is wrong as well; a small edit there makes everything fit too.
    """

    kind: Kind
    severity: Severity
    function: str
    where: SourceLine
    why: str
    expected: str = ""
    received: str = ""
    fixes: tuple[str, ...] = ()
    hurts: SourceLine | None = None
    layer: str = ""
    columns: tuple[int, int] | None = None
    others: tuple[SourceLine, ...] = ()

    @property
    def file(self) -> str:
        return self.where.file

    @property
    def line(self) -> int:
        return self.where.line

    @property
    def message(self) -> str:
        """All of it in one line."""
        sizes = f"expected {self.expected}, {self._verb} {self.received}. " if self.expected and self.received else ""
        hurts = f" It is noticed in line {self.hurts.line}." if self.hurts is not None else ""
        return f"{sizes}{self.why}{hurts}"

    @property
    def _verb(self) -> str:
        return "returned" if self.kind == "return" else "received"

    @property
    def headline(self) -> str:
        layer = f" ({self.layer})" if self.layer else ""
        return f"{_TITLES[self.kind][self.severity == 'warning']} in {self.function!r}{layer}"

    def __str__(self) -> str:
        if self.kind == "return":
            lines = [f"{self.headline}:"]
        else:
            lines = [f"{self.headline} at {self.file}:{self.line}", *self._code()]
        if self.expected:
            lines.append(f"  Expected: {self.expected}")
        if self.received:
            lines.append(f"  {self._verb.capitalize()}: {self.received}")
        lines.append(f"  {self.why}")
        if self.kind == "return":
            lines.append(f"  at {self.where}")
        if self.hurts is not None:
            lines.append(f"  It is noticed at {self.hurts}")
        lines += [f"  Or what is wrong is {other}" for other in self.others]
        if self.fixes:
            lines += ["  Possible fixes:", *(f"    {n}. {fix}" for n, fix in enumerate(self.fixes, 1))]
        return "\n".join(lines)

    def _code(self) -> Iterator[str]:
        if self.where.code:
            yield f"    {self.where.code}"
            if self.columns is not None:
                start, end = self.columns
                yield "    " + " " * start + "^" * max(1, min(end, len(self.where.code)) - start)

    def as_json(self) -> dict[str, Any]:
        """For tools: the fields by name, places as file and line."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "function": self.function,
            "layer": self.layer,
            "file": self.file,
            "line": self.line,
            "noticed": None if self.hurts is None else {"file": self.hurts.file, "line": self.hurts.line},
            "others": [{"file": other.file, "line": other.line} for other in self.others],
            "expected": self.expected,
            "received": self.received,
            "message": self.message,
            "fixes": list(self.fixes),
        }


_TITLES: dict[Kind, tuple[str, str]] = {  # of an error, of a warning
    "shape": ("Shape Error", "Shape Warning"),
    "return": ("Type mismatch", "Type mismatch"),
    "call": ("Shape Error", "Shape Warning"),
    "python": ("Error", "Warning"),
    "annotation": ("Annotation Error", "Annotation Warning"),
    "numerics": ("Numerics Error", "Numerics Warning"),
    "size": ("Shape Error", "Shape Warning"),
    "import": ("Import Error", "Import Warning"),
}


@dataclass
class CheckReport:
    """All that was found.

    Attributes:
        errors: what is wrong.
        warnings: what is wrong for some sizes or values.
        notes: what was assumed, and what could not be checked and why.
        checked: the functions that were.
    """

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    @property
    def findings(self) -> Sequence[Finding]:
        """Errors and warnings, by file and line."""
        return sorted([*self.errors, *self.warnings], key=lambda finding: (finding.file, finding.line))

    def add(self, finding: Finding) -> None:
        """Note a finding, once a line and cause."""
        known = self.errors if finding.severity == "error" else self.warnings
        if all((f.where, f.kind, f.why) != (finding.where, finding.kind, finding.why) for f in known):
            known.append(finding)

    def merge(self, other: CheckReport) -> None:
        """Add all of another report."""
        for finding in (*other.errors, *other.warnings):
            self.add(finding)
        self.notes += [note for note in other.notes if note not in self.notes]
        self.checked += other.checked

    def __str__(self) -> str:
        counts = [_count(len(self.checked), "function") + " checked"]
        counts += [_count(len(self.errors), "error"), _count(len(self.warnings), "warning")]
        parts = [*map(str, self.findings), *(f"Note: {note}" for note in self.notes), ", ".join(counts)]
        return "\n\n".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
