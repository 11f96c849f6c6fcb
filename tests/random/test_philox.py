from __future__ import annotations

import pytest
import torch

from tessera.random.philox import philox

ONES = 0xFFFFFFFF
# The known answers that come with Random123, the authors' own library: key, counter, words.
KNOWN = [
    ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES), (ONES, ONES, ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0xA4093822, 0x299F31D0),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("key", "counter", "words"), KNOWN, ids=["zeros", "ones", "digits of pi"])
def test_the_authors_answers(key, counter, words):
    assert philox(key, counter) == words
    found = philox(tuple(map(torch.tensor, key)), tuple(map(torch.tensor, counter)))
    assert tuple(word.item() for word in found) == words


def test_tensors_and_integers_agree():
    draw = torch.Generator().manual_seed(0)
    key = tuple(torch.randint(2**32, (), generator=draw) for _ in range(2))
    counter = tuple(torch.randint(2**32, (50,), generator=draw) for _ in range(4))
    found = torch.stack(philox(key, counter))
    assert 0 <= found.min() <= found.max() < 2**32
    for place in range(50):
        one = philox(tuple(k.item() for k in key), tuple(c[place].item() for c in counter))
        assert tuple(found[:, place].tolist()) == one


def test_neighbours_have_nothing_in_common():
    place = torch.arange(1 << 14)
    zero = torch.zeros_like(place)
    for words in (
        philox((zero, zero), (place, zero, zero, zero)),
        philox((zero, zero), (zero, zero, zero, place)),
        philox((place, zero), (zero, zero, zero, zero)),
    ):
        bits = (torch.stack(words)[..., None] >> torch.arange(32)) & 1
        assert (bits.double().mean((0, 1)) - 0.5).abs().max() < 0.01
        flips = (bits[:, 1:] != bits[:, :-1]).double().mean((0, 1))
        assert (flips - 0.5).abs().max() < 0.01
