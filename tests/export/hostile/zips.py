"""Zips, changed: names that lead elsewhere, members that run code, links, what is small and unpacks large."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zipfile

from tests.export.hostile.pickles import odd_tensors, payload
from tests.export.hostile.plain import NAMES, changed_bytes, changed_json

Members = list[tuple[zipfile.ZipInfo, bytes]]
_UNPACKED = [8 << 20] * 19 + [200 << 20]
_LINK = 0o120777 << 16  # how a zip says that a member is one
_SAID = ((20, 1 << 31), (24, 0xFFFFFFFE), (24, 1 << 30), (42, 0xFFFFFFF0), (10, 99), (8, 1))  # at a place, of a member


def no_zip(content: bytes, chance: random.Random, canary: str) -> tuple[bytes, str]:
    evil = payload(canary, chance)
    return chance.choice([evil, evil + content, content + evil, b"\x80\x02" + evil]), "a pickle that runs code"


def changed_zip(content: bytes, chance: random.Random, canary: str) -> tuple[bytes, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = [(info, file.read(info)) for info in file.infolist()]
            comment = file.comment
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError):  # changed before
        return changed_bytes(content, chance, canary)
    words = chance.choice(_CHANGES)(members, chance.randrange(len(members)), chance, canary)
    packed = zipfile.ZIP_DEFLATED if "packed" in words else zipfile.ZIP_STORED
    target = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w", packed, compresslevel=1) as file:
        warnings.simplefilter("ignore")  # two members of one name are meant
        for info, inner in members:
            file.writestr(info if info.external_attr == _LINK else info.filename, inner)
        file.comment = comment
    made = bytearray(target.getvalue())
    if chance.random() < 0.2:  # what the directory at the end says of a member
        place, value = chance.choice(_SAID)
        struct.pack_into("<I" if place > 10 else "<H", made, made.rfind(b"PK\1\2") + place, value)
        words += f", directory says {value} at {place}"
    return bytes(made), words


def _elsewhere(members: Members, at: int, chance: random.Random, _: str) -> str:
    info, inner = members[at]
    members[at] = (_named(chance.choice(NAMES[:-1]) or "x"), inner)
    return f"{info.filename} renamed to {members[at][0].filename[:40]!r}"


def _runs(members: Members, at: int, chance: random.Random, canary: str) -> str:
    members[at] = (members[at][0], payload(canary, chance))
    return f"{members[at][0].filename} runs code"


def _pickle_runs(members: Members, at: int, chance: random.Random, canary: str) -> str:
    return _runs(members, _pickle(members, at), chance, canary)


def _one_more(members: Members, at: int, chance: random.Random, canary: str) -> str:
    folder, name = members[at][0].filename.split("/")[0], chance.choice(["evil.pkl", "constants.pkl", "setup.py"])
    members.append((_named(f"{folder}/{name}"), payload(canary, chance)))
    return "a member more, which runs code"


def _twice(members: Members, at: int, chance: random.Random, canary: str) -> str:
    info, inner = members[at]
    members.append((info, chance.choice([inner, payload(canary, chance), b""])))
    return f"{info.filename} twice"


def _in_capitals(members: Members, at: int, chance: random.Random, canary: str) -> str:
    name = members[_pickle(members, at)][0].filename
    members.insert(chance.randrange(len(members)), (_named(name.swapcase()), payload(canary, chance)))
    return f"{name} in other letters too"


def _gone(members: Members, at: int, chance: random.Random, _: str) -> str:
    return f"{members.pop(at)[0].filename} gone"


def _larger(members: Members, at: int, chance: random.Random, _: str) -> str:
    size = chance.choice(_UNPACKED)
    members[at] = (members[at][0], bytes(size))
    return f"{members[at][0].filename} is {size >> 20} MB of zeros, packed"


def _link(members: Members, at: int, chance: random.Random, canary: str) -> str:
    info, _ = members[at]
    link = _named(chance.choice([info.filename, f"{info.filename}.link", "data"]))
    link.external_attr = _LINK
    members[at] = (link, chance.choice([b"../../canary", b"/etc/passwd", canary.encode()]))
    return f"{info.filename} is a link"


def _inside(members: Members, at: int, chance: random.Random, canary: str) -> str:
    info, inner = members[at]
    change = changed_json if info.filename.endswith(".json") else changed_bytes
    members[at] = (info, change(inner, chance, canary)[0] if inner else b"x")
    return f"{info.filename} changed"


def _odd(members: Members, at: int, chance: random.Random, canary: str) -> str:
    at = _pickle(members, at)
    if not members[at][0].filename.endswith(".pkl"):
        return _inside(members, at, chance, canary)
    content, words = odd_tensors(chance)
    members[at] = (members[at][0], content)
    return words


_CHANGES = [
    _elsewhere, _runs, _pickle_runs, _one_more, _twice, _in_capitals,
    _gone, _larger, _link, _inside, _inside, _odd, _odd,
]  # fmt: skip


def _pickle(members: Members, otherwise: int) -> int:
    return next((at for at, (info, _) in enumerate(members) if info.filename.endswith("data.pkl")), otherwise)


def _named(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name
    return info
