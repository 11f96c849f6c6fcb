"""Pickles that call what they should not, or make tensors of what the file has not."""

from __future__ import annotations

import collections
import io
import pickle
import pickletools
import random

import torch

_STORED = (("0.weight", (4, 3)), ("0.bias", (4,)), ("2.weight", (2, 4)), ("2.bias", (2,)))  # of the model at the door


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


def changed_pickle(content: bytes, chance: random.Random, _: str) -> tuple[bytes, str]:
    """A number in the pickles of an older file of torch's, or the name of what is called."""
    places = list(_numbers_and_names(content))
    start, end = chance.choice(places)
    if content[start : start + 1] == b"c":
        new = b"c" + chance.choice(_CALLED) + b"\n"
    else:
        new = pickle.LONG1 + b"\x08" + chance.choice(_LARGE).to_bytes(8, "little", signed=True)
    return content[:start] + new + content[end:], f"{content[start:end]!r} at {start} is {new!r}"


def _numbers_and_names(content):
    """Where they begin and end, in the pickles that follow one another from the beginning."""
    file, before = io.BytesIO(content), None
    for _ in range(5):
        for operation, _, at in pickletools.genops(file):
            if before is not None:
                yield before, at
            before = at if operation.name in {"GLOBAL", "BININT", "BININT1", "BININT2"} else None


def odd_tensors(chance: random.Random) -> tuple[bytes, str]:
    """A state_dict whose first weight is none that torch.save would write, in what torch allows a pickle to call."""
    name, make = chance.choice(_ODD)
    state = {key: _tensor(str(at), shape) for at, (key, shape) in enumerate(_STORED)}
    target = io.BytesIO()
    _Pickler(target, protocol=2).dump({**state, _STORED[0][0]: make(chance)})
    return target.getvalue(), f"a weight that is {name}"


_CALLED = (
    b"builtins\nbytearray", b"__builtin__\nbytearray", b"builtins\neval", b"os\nsystem", b"builtins\nset",
    b"torch._utils\n_rebuild_sparse_tensor", b"torch._utils\n_rebuild_parameter", b"torch\nDoubleStorage",
    b"torch\nUntypedStorage", b"collections\nCounter", b"torch\nSize",
)  # fmt: skip


class _Storage:
    """What torch.save says of numbers that are in a member of their own."""

    def __init__(self, key="0", count=12, kind=torch.FloatStorage, device="cpu", word="storage") -> None:
        self.said = (word, kind, key, device, count)


class _Pickler(pickle._Pickler):
    def persistent_id(self, value):
        return value.said if isinstance(value, _Storage) else None


def _tensor(key, shape, function=torch._utils._rebuild_tensor_v2):
    count, strides = 1, []
    for size in reversed(shape):
        strides.insert(0, count)
        count *= size
    return _Runs(function, _Storage(key, count), 0, shape, tuple(strides), False, collections.OrderedDict())


def _with(storage=None, offset=0, shape=(4, 3), strides=(3, 1), more=()):
    make = torch._utils._rebuild_tensor_v2
    return _Runs(make, storage or _Storage(), offset, shape, strides, False, collections.OrderedDict(), *more)


def _utility(name, *arguments):
    return _Runs(getattr(torch._utils, name), *arguments)


_LARGE = (1 << 20, 1 << 31, 1 << 40, 1 << 62, -1, -(1 << 62))
_OLD = collections.OrderedDict
_ODD = (
    ("many bytes", lambda c: _Runs(bytearray, c.choice(_LARGE))),
    ("as many bytes in a list", lambda c: [_Runs(bytearray, c.choice(_LARGE))] * 3),
    ("longer than its numbers", lambda c: _with(shape=(c.choice(_LARGE), 3))),
    ("as long, by steps of none", lambda c: _with(shape=(c.choice(_LARGE), 3), strides=(0, 1))),
    ("of other steps", lambda c: _with(strides=(c.choice(_LARGE), c.choice([0, 1, -1])))),
    ("further on", lambda c: _with(offset=c.choice(_LARGE))),
    ("of more numbers", lambda c: _with(_Storage(count=c.choice([*_LARGE, 11, 13])))),
    ("elsewhere", lambda c: _with(_Storage(key=c.choice(["../../canary", "", "7", 3, None, "x" * 5000])))),
    ("on a device", lambda c: _with(_Storage(device=c.choice(["cuda:0", "meta", "mps", "evil", "", 3])))),
    ("of a kind", lambda c: _with(_Storage(kind=c.choice([torch.LongStorage, torch.UntypedStorage, "x", None])))),
    ("no storage", lambda c: _with(_Storage(word=c.choice(["module", "", 3])))),
    ("without values", lambda c: _utility("_rebuild_meta_tensor_no_storage", torch.float32, (4, 3), (3, 1), False)),
    ("a parameter with a state", lambda c: _utility(
        "_rebuild_parameter_with_state", _with(), True, _OLD(),
        {c.choice(["__class__", "data", "grad", "grad_fn", "_backward_hooks", "x"]): c.choice([3, None, "x"])})),
    ("a shell", lambda c: _utility(
        "_rebuild_wrapper_subclass", c.choice([torch.Tensor, torch.nn.Parameter]), torch.float32,
        (4, c.choice(_LARGE)), (3, 1), 0, torch.strided, torch.device("cpu"), False)),
    ("quantized", lambda c: _utility(
        "_rebuild_qtensor", _Storage(kind=torch.QUInt8Storage, count=48), 0, (4, 3), (3, 1),
        (torch.per_tensor_affine, 0.1, 3), False, _OLD())),
    ("sparse", lambda c: _utility("_rebuild_sparse_tensor", torch.sparse_coo, (
        _with(_Storage(kind=torch.LongStorage, count=6), shape=(2, 1), strides=(1, 1)),
        _with(shape=(1,), strides=(1,)), (4, c.choice([3, 3, *_LARGE])), False))),
    ("of tensors", lambda c: _utility("_rebuild_nested_tensor", _with(), _with(), _with(), _with())),
    ("of a type", lambda c: _utility(
        "_rebuild_tensor_v3", _Storage(kind=torch.UntypedStorage, count=48), 0, (4, 3), (3, 1), False, _OLD(),
        c.choice([torch.float64, torch.bits8, torch.float8_e4m3fn, torch.float4_e2m1fn_x2, torch.complex32]))),
    ("the negative", lambda c: _with(more=({c.choice(["neg", "conj", "x"]): True},))),
    ("with hooks", lambda c: _Runs(
        torch._tensor._rebuild_from_type_v2, torch._utils._rebuild_tensor_v2, torch.nn.Parameter,
        (_Storage(), 0, (4, 3), (3, 1), False, {1: 2}), {"_backward_hooks": {3: 4}})),
    ("a list in lists", lambda c: _nested(c.choice([10, 100]))),
    ("no tensor", lambda c: c.choice([None, 3, "x", b"x", (), {}, torch.float32, torch.Size((4, 3))])),
)  # fmt: skip


def _nested(depth):
    made = []
    for _ in range(depth):
        made = [made]
    return made
