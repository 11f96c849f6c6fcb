from __future__ import annotations

import struct

import pytest

from tessera.backend.targets.cubin import Resources, read_resources

REGISTERS, FRAME, OTHER = 0x2F, 0x11, 0x0A


def cubin(*attributes: tuple[int, int], names: bytes = b"\0.nv.info\0") -> bytes:
    """An ELF file with one section of attributes, each a symbol and a number, and the table of names."""
    info = b"".join(struct.pack("<BBHII", 4, key, 8, 1, number) for key, number in attributes)
    info = struct.pack("<BBH", 3, OTHER, 16) + struct.pack("<BBHI", 4, OTHER, 4, 7) + info
    start = 64
    sections = [(0, 0, 0), (1, start, len(info)), (0, start + len(info), len(names))]
    table = b"".join(
        struct.pack("<IIQQQQIIQQ", name, 1, 0, 0, offset, size, 0, 0, 1, 0) for name, offset, size in sections
    )
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", header, 0x28, start + len(info) + len(names))
    struct.pack_into("<HHH", header, 0x3A, 64, len(sections), 2)
    return bytes(header) + info + names + table


def test_registers_and_local_memory_are_read():
    assert read_resources(cubin((REGISTERS, 40), (FRAME, 96))) == Resources(40, 96)
    assert read_resources(cubin((REGISTERS, 255))) == Resources(255, 0)


def test_of_several_functions_the_largest_counts():
    found = read_resources(cubin((REGISTERS, 40), (FRAME, 0), (REGISTERS, 64), (FRAME, 8)))
    assert found == Resources(64, 8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no 64-bit"),
        (b"\x7fELF\x01\x01" + bytes(100), "no 64-bit"),
        (cubin((REGISTERS, 40))[:80], "cut off"),
        (cubin((FRAME, 40)), "no kernel"),
        (cubin((REGISTERS, 40), names=b"\0.nv.data\0"), "no kernel"),
    ],
    ids=["empty", "32 bits", "cut off", "no registers", "another section"],
)
def test_what_is_no_cubin_is_refused(content, reason):
    with pytest.raises(ValueError, match=reason):
        read_resources(content)
