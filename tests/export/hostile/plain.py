"""Bytes, words of four bytes and JSON, changed in ways that say nothing of what they are for."""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct

_LENGTHS = [b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, struct.pack("<Q", 1 << 40), struct.pack("<I", 1 << 31)]
_HEAD = 8192  # bytes: the plan of a small .pte file, and what holds its weights together
NAMES = [
    "../canary",
    "../../../canary",
    "/etc/passwd",
    "..\\canary",
    "a" * 5000,
    "",
    "nul",
    "data/../../canary",
    "CON",
]
_JSON = [
    None, True, -1, 0, 2**31, 2**63, 2**64 + 1, 10**400, -(10**30), 1.5, float("nan"), float("inf"), "",
    "../../etc/passwd", "/etc/passwd", "\0", "F128", "BF16", "__class__", "x" * 100_000, [], {},
    [[]], [-1], [2**40, 2**40], [0, 1 << 60],
    {"__reduce__": "os.system"}, {"$ref": "#"}, [1e999], "\ud800",
]  # fmt: skip


def changed_bytes(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
    """Anything anywhere."""
    there, said = bytearray(content), []
    for _ in range(chance.choice([1, 1, 1, 2, 8])):
        if not there:
            break
        at, kind = chance.randrange(len(there)), chance.randrange(8)
        if kind == 0:
            there[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            there[at] = chance.randrange(256)
        elif kind == 2:
            del there[at:]
        elif kind == 3:
            del there[at : at + chance.choice([1, 7, 64, 4096])]
        elif kind == 4:
            there[at:at] = chance.randbytes(chance.choice([1, 8, 64]))
        elif kind == 5:
            length = chance.choice(_LENGTHS)
            there[at : at + len(length)] = length
        elif kind == 6:
            to, size = chance.randrange(len(there)), chance.choice([8, 64, 1024])
            there[at : at + size], there[to : to + size] = there[to : to + size], there[at : at + size]
        else:
            there += there[at : at + 4096]
        said.append(
            f"{('bit', 'byte', 'cut off', 'left out', 'put in', 'length', 'swapped', 'repeated')[kind]} at {at}"
        )
    return bytes(there), ", ".join(said)


def changed_words(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
    """Lengths, offsets, numbers and names, as flatbuffers have them: words of four bytes in their places, and texts."""
    there, said = bytearray(content), []
    places = range(0, min(len(there), _HEAD) - 4, 4)
    small = [at for at in places if 0 < struct.unpack_from("<I", there, at)[0] < 64]
    names = list(re.finditer(rb"[A-Za-z_:.]{4,}", content[:_HEAD]))
    for _ in range(chance.choice([1, 1, 2, 4])):
        kind = chance.randrange(4)
        if kind == 0 and names:
            one, other = chance.choice(names), chance.choice(names)
            new = chance.choice([other[0], b"evil::code", b"../../canary"])[: len(one[0])].ljust(len(one[0]), b"\0")
            there[one.start() : one.end()] = new
            said.append(f"{one[0]!r} is {new!r}")
            continue
        at = chance.choice(small if kind == 1 and small else places)
        old = struct.unpack_from("<I", there, at)[0]
        new = chance.choice(
            [0, 1, old + 1, old - 1, old * 2, 1 << 28, 1 << 31, 0xFFFFFFFF, len(there), len(there) - 4, 0x7FFFFFF0]
        )
        struct.pack_into("<I", there, at, new % (1 << 32))
        said.append(f"word at {at} from {old} to {new}")
    return bytes(there), ", ".join(said)


def changed_json(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
    if chance.random() < 0.1:
        depth = chance.choice([100, 10_000, 200_000])
        return b"[" * depth + b"]" * chance.choice([0, depth]), f"{depth} lists in one another"
    value = json.loads(content)
    if set(value) == {"sha256", "content"}:  # a snapshot's: whoever changes it can write the hash as well
        words = change_json(value["content"], chance)
        inner = written(value["content"])
        seal = hashlib.sha256(inner).hexdigest()
        return b'{"sha256":"%s","content":%s}\n' % (seal.encode(), inner), f"{words}, with its hash"
    words = change_json(value, chance)
    return written(value), words


def written(value) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def change_json(value, chance: random.Random) -> str:
    """Change one to three places of ``value``, in place."""
    said = []
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        places = list(_places(value))
        if not places:
            break
        holder, key, path = chance.choice(places)
        kind = chance.randrange(6)
        if kind == 0:
            del holder[key]
            said.append(f"{path} left out")
        elif kind == 1 and isinstance(holder, dict):
            holder[chance.choice([*NAMES, "__metadata__", "__class__"])] = holder.pop(key)
            said.append(f"{path} renamed")
        elif kind == 2 and isinstance(holder, list):
            holder += holder[:1] * chance.choice([1, 1000])
            said.append(f"{path} repeated")
        elif kind == 3 and type(holder[key]) is int:
            holder[key] += chance.choice([-1, 1, 8, 1 << 20, 1 << 32, 1 << 62])
            said.append(f"{path} moved")
        else:
            holder[key] = new = json.loads(json.dumps(chance.choice(_JSON)))
            said.append(f"{path} is {str(new)[:40]!r}")
    return ", ".join(said)


def _places(value, path=""):
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key, f"{path}/{key}"[-80:]
        yield from _places(inner, f"{path}/{key}")
