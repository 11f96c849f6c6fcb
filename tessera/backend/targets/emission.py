"""What was emitted for a GPU: kernels, what each needs and costs, as a table for people and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Schedule:
    """One way to run a kernel that was compiled.

    Attributes:
        blocks: block sizes by name.
        registers: of a thread.
        spilled_bytes: local memory of a thread: what did not fit into its registers.
        shared_bytes: shared memory of a block.
    """

    blocks: dict[str, int]
    num_warps: int
    num_stages: int
    registers: int
    spilled_bytes: int
    shared_bytes: int


@dataclass(frozen=True)
class Kernel:
    """One Triton kernel.

    Attributes:
        launches: how often one call of the program runs it.
        num_bytes: of memory that one launch reads and writes at least.
        flops: arithmetic operations of one launch; a function of an element, such as exp, counts as one.
        seconds: the roofline of one launch: the longer of moving the bytes and doing the arithmetic.
        operations: what was fused into it.
        lines: the user's lines that they come from.
        schedules: those that compiled, the chosen one first.
        error: why it did not compile; empty if it did.
    """

    name: str
    launches: int
    num_bytes: int
    flops: int
    seconds: float
    operations: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class LibraryCall:
    """Calls of one library function, or of code on the host; bytes, FLOPs and roofline of all of them together."""

    name: str
    launches: int
    num_bytes: int
    flops: int
    seconds: float


@dataclass(frozen=True)
class Emission:
    """A program for a GPU, compiled where there is none.

    Attributes:
        program: what was emitted.
        target: the GPU, and ``architecture`` what its kernels were assembled for.
        kernels: Triton kernels, the most costly first.
        library_calls: of cuBLAS, cuDNN and attention; ``host_calls`` run on the CPU beside them.
        notes: what a reader should know.
        sources: text by file name: kernels (``.py``), PTX and the wrapper that calls them.
        cubins: machine code by file name.
    """

    program: str
    target: str
    architecture: str
    versions: dict[str, str]
    kernels: list[Kernel]
    library_calls: list[LibraryCall]
    host_calls: int = 0
    compile_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict, repr=False)
    cubins: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def failed(self) -> list[Kernel]:
        """Kernels that did not compile."""
        return [kernel for kernel in self.kernels if kernel.error]

    @property
    def spilling(self) -> list[Kernel]:
        """Kernels whose chosen schedule spills registers."""
        return [kernel for kernel in self.kernels if kernel.schedules and kernel.schedules[0].spilled_bytes]

    @property
    def roofline_seconds(self) -> float:
        """What the device needs at least for one call: kernels and library calls, one after another."""
        own = sum(kernel.seconds * kernel.launches for kernel in self.kernels)
        return own + sum(call.seconds for call in self.library_calls)

    def to_json(self) -> str:
        """Everything but sources and machine code."""
        return json.dumps(self.described() | {"roofline_seconds": self.roofline_seconds}, indent=2)

    def described(self) -> dict[str, object]:
        left_out = ("sources", "cubins")
        return {key: value for key, value in asdict(self).items() if key not in left_out}

    def __str__(self) -> str:
        compiled = len(self.kernels) - len(self.failed)
        launches = sum(kernel.launches for kernel in self.kernels)
        calls = sum(call.launches for call in self.library_calls)
        counted = f"{compiled} of {len(self.kernels)} kernels compiled in {self.compile_seconds:.1f} s"
        made = f"{launches} kernel launches, {calls} library calls, {self.host_calls} on the host"
        lines = [
            f"{self.program} for {self.target} ({self.architecture}): {counted}, {len(self.spilling)} spill registers",
            f"one call: {made}; roofline {_time(self.roofline_seconds)}",
            "",
            *_table(_HEADINGS, [_row(kernel) for kernel in self.kernels]),
        ]
        if self.library_calls:
            lines += ["", *_table(_CALL_HEADINGS, [_call_row(call) for call in self.library_calls])]
        lines += [f"{kernel.name} did not compile: {kernel.error}" for kernel in self.failed]
        return "\n".join([*lines, *self.notes])


_HEADINGS = ("kernel", "launches", "registers", "spilled B", "shared B", "warps", "bytes", "FLOPs", "roofline", "from")
_CALL_HEADINGS = ("library call", "calls", "bytes", "FLOPs", "roofline")


def _row(kernel: Kernel) -> list[str]:
    needs = ["failed", "", "", ""]
    for chosen in kernel.schedules[:1]:
        needs = list(map(str, (chosen.registers, chosen.spilled_bytes, chosen.shared_bytes, chosen.num_warps)))
    costs = [_amount(kernel.num_bytes), _amount(kernel.flops), _time(kernel.seconds)]
    place = kernel.lines[0].split("  ")[0].rpartition("/")[2] if kernel.lines else ""
    more = f" and {len(kernel.lines) - 1} more" if len(kernel.lines) > 1 else ""
    return [kernel.name, str(kernel.launches), *needs, *costs, place + more]


def _call_row(call: LibraryCall) -> list[str]:
    return [call.name, str(call.launches), _amount(call.num_bytes), _amount(call.flops), _time(call.seconds)]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    names = {0, headings.index("from") if "from" in headings else 0}

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i in names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return [line(headings), line(["-" * width for width in widths]), *map(line, rows)]


def _amount(number: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} us" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"
