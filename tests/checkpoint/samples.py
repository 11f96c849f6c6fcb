"""Random states of every kind that a checkpoint holds, and the comparison that they come back exactly."""

from __future__ import annotations

import collections
import math
import random
import struct

import numpy as np
import torch

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128,
    torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8,
    torch.bool,
)  # fmt: skip
SHAPES = ((), (1,), (0,), (3,), (2, 3), (0, 4), (5, 1, 2))
NUMPY_DTYPES = (
    "<f8",
    "<f4",
    "<f2",
    "<c16",
    "<i8",
    "<i2",
    "|u1",
    "|b1",
    ">f4",
    ">i8",
    "<U3",
    "|S2",
    "<M8[D]",
    "<m8[ns]",
)
NAN = struct.unpack(">d", bytes.fromhex("fff8000000000abc"))[0]
FLOATS = (0.0, -0.0, 1.5, math.pi, 5e-324, 1.7e308, math.inf, -math.inf, math.nan, NAN)
INTS = (0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 10**5000, -(10**40))
TEXTS = ("", "a", "a.b", "key with space", "snow ☃", '\x00\n"\\', "\ud800", "__metadata__", "dict", "tensor")


def tensor(rng: random.Random) -> torch.Tensor:
    """Of a random dtype, shape and layout."""
    dtype, shape = rng.choice(DTYPES), rng.choice(SHAPES)
    bits = torch.randint(0, 256, (*shape, dtype.itemsize), dtype=torch.uint8)
    if dtype is torch.bool:
        return bits[..., 0] > 127
    made = bits.reshape(-1).view(dtype).reshape(shape)
    match rng.randrange(5):
        case 0 if made.dim() > 1:
            return made.transpose(0, 1)
        case 1 if made.dim() and made.is_complex():
            return made.conj()
        case 2 if made.dim():
            return made[::2]
        case 3 if made.dim() and made.shape[0] == 1:
            return made.expand(4, *made.shape[1:])
    return made


def array(rng: random.Random) -> np.ndarray:
    dtype, shape = np.dtype(rng.choice(NUMPY_DTYPES)), rng.choice(SHAPES)
    content = np.random.default_rng(rng.randrange(2**32)).integers(0, 100, shape)
    made = content.astype(dtype)
    return made.T if rng.random() < 0.3 else made


def leaf(rng: random.Random):
    kinds = (
        lambda: rng.choice(FLOATS),
        lambda: rng.choice(INTS),
        lambda: rng.choice(TEXTS),
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: complex(rng.choice(FLOATS), rng.choice(FLOATS)),
        lambda: rng.randbytes(rng.randrange(9)),
        lambda: rng.choice(DTYPES),
        lambda: torch.device(rng.choice(("cpu", "cuda:1", "meta"))),
        lambda: torch.Size(rng.choice(SHAPES)),
        lambda: array(rng)[()] if rng.random() < 0.5 else np.float32(rng.random()),
        lambda: np.dtype(rng.choice(NUMPY_DTYPES)),
        lambda: array(rng),
        lambda: tensor(rng),
        lambda: [rng.random() for _ in range(rng.randrange(20))],
        lambda: tuple(rng.randrange(-5, 2**40) for _ in range(rng.randrange(20))),
    )
    return rng.choice(kinds)()


def key(rng: random.Random):
    return rng.choice((*TEXTS, *FLOATS[:4], *INTS[:6], None, True, (1, "a"), b"x", np.int64(3), torch.float32))


def value(rng: random.Random, depth: int = 3, shared: list | None = None):
    """A nested state; tensors in it are sometimes the same one."""
    shared = [] if shared is None else shared
    if depth == 0 or rng.random() < 0.3:
        if shared and rng.random() < 0.2:
            return rng.choice(shared)
        made = leaf(rng)
        if isinstance(made, torch.Tensor):
            shared.append(made)
        return made
    parts = [value(rng, depth - 1, shared) for _ in range(rng.randrange(5))]
    containers = (
        lambda: parts,
        lambda: tuple(parts),
        lambda: collections.OrderedDict((rng.choice(TEXTS), part) for part in parts),
        lambda: {key(rng): part for part in parts},
        lambda: collections.Counter({key(rng): part for part in parts}),
        lambda: {rng.choice(TEXTS): part for part in parts},
    )
    return rng.choice(containers)()


def bits(number) -> bytes:
    return struct.pack(">d", number)


def same(ours, theirs, ties: dict | None = None) -> bool:
    """Whether two values are of one kind and equal to the last bit, with the same tensors tied."""
    ties = {} if ties is None else ties
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, dict):
        pairs = zip(ours.items(), theirs.items(), strict=False)
        return len(ours) == len(theirs) and all(same(a, b, ties) and same(x, y, ties) for (a, x), (b, y) in pairs)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(same(a, b, ties) for a, b in zip(ours, theirs, strict=True))
    if isinstance(ours, torch.Tensor) and ours.numel() and ties.setdefault(id(ours), theirs) is not theirs:
        return False
    return content(ours) == content(theirs)


def content(value):
    """What of a value must be equal."""
    if isinstance(value, torch.Tensor):
        flat = torch.empty(value.numel(), dtype=value.dtype).copy_(value.reshape(-1))
        return value.dtype, value.shape, flat.view(torch.uint8).numpy().tobytes()
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, complex):
        return bits(value.real) + bits(value.imag)
    return bits(value) if isinstance(value, float) else value
