"""Changed files: what a bad disk does to one, and what somebody does who wants to be let in.

``changed(files, chance, canary)`` gives other files and words for what was done. Bytes are changed anywhere; what has a
structure that can be read (JSON, the header of safetensors, zips and what is in them, protobuf) in its own terms too.
"""

from __future__ import annotations

import json
import random
import struct

from tests.export.hostile.graphs import changed_graph
from tests.export.hostile.pickles import changed_pickle
from tests.export.hostile.plain import change_json, changed_bytes, changed_json, changed_words, written
from tests.export.hostile.zips import changed_zip, no_zip

Files = dict[str, bytes]


def changed(files: Files, chance: random.Random, canary: str) -> tuple[Files, str]:
    name = chance.choice(sorted(files))
    content, words = _changed_file(name, files[name], chance, canary)
    return {**files, name: content}, f"{name}: {words}"


def _changed_file(name: str, content: bytes, chance: random.Random, canary: str) -> tuple[bytes, str]:
    kinds = [changed_bytes]
    if content[:4] == b"PK\3\4":
        kinds += [changed_zip, changed_zip, no_zip]
    elif name.endswith(".pt"):
        kinds += [no_zip, changed_pickle]
    elif name.endswith(".json"):
        kinds += [changed_json, changed_json]
    elif name.endswith(".safetensors"):
        kinds += [_header, _header]
    elif name.endswith(".onnx"):
        kinds += [changed_graph, changed_graph]
    elif name.endswith(".pte"):
        kinds += [changed_words, changed_words]
    return chance.choice(kinds)(content, chance, canary)


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
