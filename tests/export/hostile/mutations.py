"""Changed files: what a bad disk does to one, and what somebody does who wants to be let in.

``changed(files, chance, canary)`` gives other files and words for what was done. Bytes are changed anywhere; what has a
structure that can be read (JSON, the header of safetensors, zips and what is in them, protobuf) in its own terms too.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import struct
import zipfile

from tests.export.hostile.graphs import changed_graph

Files = dict[str, bytes]
_LENGTHS = [b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, struct.pack("<Q", 1 << 40), struct.pack("<I", 1 << 31)]
_NAMES = [
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


def changed(files: Files, chance: random.Random, canary: str) -> tuple[Files, str]:
    name = chance.choice(sorted(files))
    content, words = _changed_file(name, files[name], chance, canary)
    return {**files, name: content}, f"{name}: {words}"


def _changed_file(name: str, content: bytes, chance: random.Random, canary: str) -> tuple[bytes, str]:
    kinds = [_bytes]
    if content[:4] == b"PK\3\4":
        kinds += [_zip, _zip, _not_zip]
    elif name.endswith(".json"):
        kinds += [_json, _json]
    elif name.endswith(".safetensors"):
        kinds += [_header, _header]
    elif name.endswith(".onnx"):
        kinds += [_graph, _graph]
    elif name.endswith(".pte"):
        kinds += [_words]
    return chance.choice(kinds)(content, chance, canary)


def _bytes(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
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


def _words(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
    """Lengths and offsets, as flatbuffers have them: words of four bytes in their places."""
    there, said = bytearray(content), []
    for _ in range(chance.choice([1, 1, 2, 4])):
        at = 4 * chance.randrange(min(len(there), 8192) // 4)
        old = struct.unpack_from("<I", there, at)[0]
        new = chance.choice(
            [0, 1, old + 1, old - 1, old * 2, 1 << 31, 0xFFFFFFFF, len(there), len(there) - 4, 0x7FFFFFF0]
        )
        struct.pack_into("<I", there, at, new % (1 << 32))
        said.append(f"word at {at} from {old} to {new}")
    return bytes(there), ", ".join(said)


# JSON.


def _json(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
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
            holder[chance.choice([*_NAMES, "__metadata__", "__class__"])] = holder.pop(key)
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


# Safetensors.


def _header(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
    size = int.from_bytes(content[:8], "little")
    header, rest = json.loads(content[8 : 8 + size]), content[8 + size :]
    kind = chance.randrange(10)
    if kind == 0:
        length = chance.choice([0, 1, size - 1, size + 1, len(content), 1 << 27, 1 << 40, (1 << 64) - 1])
        return struct.pack("<Q", length) + content[8:], f"header of {length}"
    if kind == 1:
        deep = b"[" * 150_000
        return struct.pack("<Q", len(deep)) + deep + rest, "deep header"
    if kind == 2:  # tensors that lie on one another
        names = [name for name in header if name != "__metadata__"]
        header[names[0]] = dict(header[names[-1]])
        words = "two tensors in one place"
    elif kind == 3:  # the same name twice
        name = chance.choice([name for name in header if name != "__metadata__"])
        text = written(header)[:-1] + b"," + written({name: header[name]})[1:]
        return struct.pack("<Q", len(text)) + text + rest, f"{name} twice"
    else:
        words = change_json(header, chance)
    text = written(header)
    return struct.pack("<Q", len(text)) + text + rest, words


# Zips and pickles.


class _Runs:
    """Unpickled by somebody who trusts it, it calls a function."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def payload(canary: str, chance: random.Random) -> bytes:
    """A pickle that makes the file ``canary``."""
    import os
    import pathlib
    import subprocess

    ways = [
        _Runs(os.system, f"touch {canary}"),
        _Runs(eval, f"open({canary!r}, 'w')"),
        _Runs(exec, f"open({canary!r}, 'w')"),
        _Runs(open, canary, "w"),
        _Runs(subprocess.call, ["touch", canary]),
        _Runs(pathlib.Path.touch, pathlib.Path(canary)),
    ]
    hidden = chance.choice([lambda run: run, lambda run: {"weight": run}, lambda run: [run] * 3, lambda run: {run: 1}])
    return pickle.dumps(hidden(chance.choice(ways)), protocol=chance.randrange(2, 6))


def _not_zip(content: bytes, chance: random.Random, canary: str) -> tuple[bytes, str]:
    evil = payload(canary, chance)
    return chance.choice([evil, evil + content, content + evil, b"\x80\x02" + evil]), "a pickle that runs code"


def _zip(content: bytes, chance: random.Random, canary: str) -> tuple[bytes, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = [(info, file.read(info)) for info in file.infolist()]
            comment = file.comment
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError):  # changed before
        return _bytes(content, chance, canary)
    at = chance.randrange(len(members))
    info, inner = members[at]
    kind, words, level = chance.randrange(9), "", zipfile.ZIP_STORED
    if kind == 0:
        members[at] = (_named(info, chance.choice(_NAMES[:-1]) or "x"), inner)
        words = f"{info.filename} renamed to {members[at][0].filename[:40]!r}"
    elif kind == 1:
        members[at] = (info, payload(canary, chance))
        words = f"{info.filename} runs code"
    elif kind == 2:
        at = next((n for n, (each, _) in enumerate(members) if each.filename.endswith(".pkl")), at)
        members[at] = (members[at][0], payload(canary, chance))
        words = f"{members[at][0].filename} runs code"
    elif kind == 3:
        folder = info.filename.split("/")[0]
        members.append(
            (
                zipfile.ZipInfo(f"{folder}/{chance.choice(['evil.pkl', 'constants.pkl', 'setup.py'])}"),
                payload(canary, chance),
            )
        )
        words = "a member more, which runs code"
    elif kind == 4:
        members.append((info, chance.choice([inner, payload(canary, chance), b""])))
        words = f"{info.filename} twice"
    elif kind == 5:
        members.pop(at)
        words = f"{info.filename} gone"
    elif kind == 6:
        members[at], level = (info, bytes(200 << 20)), zipfile.ZIP_DEFLATED
        words = f"{info.filename} is 200 MB of zeros, packed"
    elif kind == 7 and info.filename.endswith(".json"):
        members[at] = (info, _json(inner, chance, canary)[0])
        words = f"{info.filename} changed"
    else:
        members[at] = (info, _bytes(inner, chance, canary)[0] if inner else b"x")
        words = f"{info.filename} changed"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", level, compresslevel=1) as file:
        import warnings

        warnings.simplefilter("ignore")  # two members of one name are meant
        for each, bytes_ in members:
            file.writestr(each.filename, bytes_)
        file.comment = comment
    made = bytearray(target.getvalue())
    if chance.random() < 0.2:  # what the directory at the end says of a member
        at = made.rfind(b"PK\1\2")
        place, value = chance.choice(
            [(20, 1 << 31), (24, 0xFFFFFFFE), (24, 1 << 30), (42, 0xFFFFFFF0), (10, 99), (8, 1)]
        )
        struct.pack_into("<I" if place > 10 else "<H", made, at + place, value)
        words += f", directory says {value} at {place}"
    return bytes(made), words


def _named(info: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    other = zipfile.ZipInfo("x")
    other.filename = name
    return other


def _graph(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
    return changed_graph(content, chance)
