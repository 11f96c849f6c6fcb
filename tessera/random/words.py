"""Random words for a tensor: a key drawn from torch's generator, spread over all places by Philox.

What is kept is torch's generator alone, so whatever keeps that (a checkpoint, a resume, ``torch.utils.checkpoint``,
``fork_rng``) keeps these numbers too; and a draw moves it by one number, however large the tensor. The words are one
operator, ``tessera::random_words``, which a kernel computes where it uses them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.random.native_words import native_words
from tessera.random.philox import philox

KEY_END = 2**63 - 1  # keys are below
_32_BITS = 0xFFFFFFFF
_BLOCK = 1 << 16  # counters of which eager keeps all words of a round in the cache


def draw_key(device: torch.device | str | None = None) -> torch.Tensor:
    """A new key, int64 ``[]`` below 2^63, from torch's generator of the device."""
    return torch.randint(KEY_END, (), dtype=torch.int64, device=device)


def random_words(key: torch.Tensor, shape: Sequence[int], stream: int = 0) -> torch.Tensor:
    """Words below 2^32 in int64, one for each place of ``shape``: place ``i`` has word ``i % 4`` of counter ``i // 4``.

    Places count in the order of the indices, whatever the strides of what the words are used for.

    Args:
        key: from ``draw_key``.
        shape: of the result.
        stream: which of several uses of one key.

    Example:
        >>> random_words(torch.tensor(0), (1,)).item() == 0x6627E8D5
        True
    """
    return torch.ops.tessera.random_words(key, list(shape), stream)


def _eagerly(key: torch.Tensor, shape: Sequence[int], stream: int) -> torch.Tensor:
    if (words := native_words(key, tuple(shape), stream)) is not None:
        return words
    return _by_operations(key, shape, stream)


def _by_operations(key: torch.Tensor, shape: Sequence[int], stream: int) -> torch.Tensor:
    number = math.prod(shape)
    counters = torch.arange((number + 3) // 4, dtype=torch.int64, device=key.device)
    blocks = [torch.stack(_words(key, block, stream), -1).flatten() for block in counters.split(_BLOCK)]
    return torch.cat(blocks)[:number].reshape(shape)


def _one(key: Any, place: Any, stream: int) -> Any:
    first, second, third, fourth = _words(key, place >> 2, stream)
    word = place & 3
    return word.where_below(2, word.where_below(1, first, second), word.where_below(3, third, fourth))


def _words(key: Any, counter: Any, stream: int) -> Any:
    return philox((key & _32_BITS, key >> 32), (counter & _32_BITS, counter >> 32, (counter & 0) + stream, counter & 0))


def _unmade(key: torch.Tensor, shape: Sequence[int], _: int) -> torch.Tensor:
    return key.new_empty(shape)


def _of_many_keys(_: Any, dims: Any, key: torch.Tensor, shape: Sequence[int], stream: int) -> Any:
    keys = key.movedim(dims[0], 0).unbind()
    return torch.stack([random_words(each, shape, stream) for each in keys]), 0


_library = torch.library.Library("tessera", "FRAGMENT")
_library.define("random_words(Tensor key, SymInt[] shape, int stream) -> Tensor")
_library.impl("random_words", _eagerly, "CompositeExplicitAutograd")
_library.impl("random_words", _unmade, "Meta")
torch.library.register_vmap("tessera::random_words", _of_many_keys, lib=_library)
torch_internals.compute_in_loops(torch.ops.tessera.random_words.default, _one)
