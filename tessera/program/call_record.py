"""What one kernel or library call of a compiled Program is made of: the user's lines, bytes, FLOPs, its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import fx

from tessera.errors import SourceLine
from tessera.program.provenance import source_line


@dataclass
class Part:
    """What one line of the user's has in a call.

    Attributes:
        where: the line; None for what no line was written for, such as an optimizer's update.
        phase: of the job: forward, backward, clip, update, check; empty where there is none.
        share: of the call's work, from 0 to 1.
        operations: names of operators, each once.
    """

    where: SourceLine | None
    phase: str
    share: float
    operations: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """``model.py:12``, or ``(update)``."""
        if self.where is None:
            return f"({self.phase or 'no line'})"
        return f"{self.where.file.rsplit('/', 1)[-1]}:{self.where.line}"

    def __str__(self) -> str:
        return f"{self.share:.0%} {self.where or self.place}"


@dataclass
class CallRecord:
    """One call in the code that a Program became, in the order in which they run.

    Attributes:
        name: of the kernel, or of the function in a library.
        kind: ``kernel`` (written by the compiler) or ``library``.
        num_bytes: what it reads and writes at least; 0 where that is not known.
        flops: arithmetic operations; each function of an element counts as one; 0 where that is not known.
        dtype: of what it computes, where that is one; else empty.
        parts: what it was fused from, the largest first.
        reads: numbers of the calls before it whose results it reads.
        milliseconds: measured, one call in the mean; None before a profile.
        roofline: the least time that the bytes or the FLOPs need at the device's measured peaks, over the time taken.
    """

    name: str
    kind: str
    num_bytes: int = 0
    flops: int = 0
    dtype: str = ""
    parts: list[Part] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    milliseconds: float | None = None
    roofline: float | None = None

    @property
    def operations(self) -> list[str]:
        """What was fused into it, each operator once."""
        return list(dict.fromkeys(name for part in self.parts for name in part.operations))

    @property
    def phase(self) -> str:
        """The part of the job that most of it belongs to."""
        shares: dict[str, float] = {}
        for part in self.parts:
            shares[part.phase] = shares.get(part.phase, 0.0) + part.share
        return max(shares, key=lambda phase: shares[phase]) if shares else ""

    @property
    def places(self) -> list[str]:
        """``model.py:12`` of each line, those that have most of it first; ``(update)`` where there is no line."""
        return list(dict.fromkeys(part.place for part in self.parts)) or ["(no line)"]

    def __str__(self) -> str:
        time = f"{self.milliseconds:.3f} ms, " if self.milliseconds is not None else ""
        size = f"{self.num_bytes / 1e6:.3g} MB, {self.flops / 1e6:.3g} MFLOP"
        roofline = f", {self.roofline:.0%} of roofline" if self.roofline is not None else ""
        more = f" and {len(self.places) - 3} more" if len(self.places) > 3 else ""
        known = size if self.num_bytes or self.flops else "size not known"
        return f"{self.name}: {time}{known}{roofline}; {', '.join(self.places[:3])}{more}"


def parts_of(work: Mapping[fx.Node, float]) -> list[Part]:
    """The lines behind the nodes of a call, with the shares of the work that they are, the largest first.

    What a pass put into one node is listed in the ``made_of`` of its metadata, as parts.
    """
    total = sum(work.values()) or 1.0
    parts: dict[tuple[str, str], Part] = {}
    for node, amount in work.items():
        operation = str(node.target).removesuffix(".default").removesuffix(".Tensor")
        alone = Part(source_line(node), str(node.meta.get("phase", "")), 1.0, [operation])
        for made_of in node.meta.get("made_of") or (alone,):
            part = parts.setdefault((str(made_of.where), made_of.phase), replace(made_of, share=0.0, operations=[]))
            part.share += made_of.share * amount / total
            part.operations += [name for name in made_of.operations if name not in part.operations]
    return sorted(parts.values(), key=lambda part: -part.share)
