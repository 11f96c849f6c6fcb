"""What a cubin says of its kernel: registers and local memory, read from the ELF file itself.

They are what the driver answers for a loaded kernel (``cuFuncGetAttribute``); here there is no driver. The layout of
``.nv.info`` is the one that ``cuobjdump --dump-resource-usage`` reads.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SECTION = struct.Struct("<IIQQQQIIQQ")  # name, type, flags, address, offset, size, link, info, alignment, entry size
_REGISTERS, _FRAME = 0x2F, 0x11  # EIATTR_REGCOUNT, EIATTR_FRAME_SIZE: each a pair (symbol, number)
_SIZED = 0x04  # format of an attribute that is followed by its size


@dataclass(frozen=True)
class Resources:
    """What one thread of a kernel needs.

    Attributes:
        registers: 32-bit registers, at most 255.
        local_bytes: memory of its own in the stack frame: arrays with computed indices, and what was spilled.
    """

    registers: int
    local_bytes: int


def read_resources(cubin: bytes) -> Resources:
    """The needs of the kernel in a cubin; the largest, if it calls functions of its own.

    Raises:
        ValueError: this is no cubin.
    """
    if cubin[:6] != b"\x7fELF\x02\x01":
        raise ValueError("this is no 64-bit little-endian ELF file")
    try:
        found = [pair for info in _info_sections(cubin) for pair in _attributes(info)]
    except struct.error as error:
        raise ValueError("this ELF file is cut off") from error
    registers = [number for key, number in found if key == _REGISTERS]
    if not registers:
        raise ValueError("this ELF file holds no kernel")
    return Resources(max(registers), max((number for key, number in found if key == _FRAME), default=0))


def _info_sections(cubin: bytes) -> list[bytes]:
    (table,) = struct.unpack_from("<Q", cubin, 0x28)
    size, count, names = struct.unpack_from("<HHH", cubin, 0x3A)
    sections = [_SECTION.unpack_from(cubin, table + i * size) for i in range(count)]
    strings = sections[names][4]
    return [
        cubin[offset : offset + length]
        for name, _, _, _, offset, length, *_ in sections
        if cubin[strings + name : cubin.index(b"\0", strings + name)] == b".nv.info"
    ]


def _attributes(info: bytes) -> list[tuple[int, int]]:
    """``(attribute, number)`` of those that are a pair of a symbol and a number."""
    found, at = [], 0
    while at + 4 <= len(info):
        form, key, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if form == _SIZED:
            if size == 8:
                found.append((key, struct.unpack_from("<II", info, at)[1]))
            at += size
    return found
