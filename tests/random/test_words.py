from __future__ import annotations

import pytest
import torch

import tessera
from tessera.random.philox import philox
from tessera.random.words import _BLOCK, draw_key, random_words


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (4,), (0,), (3, 0), (7, 5), (4 * _BLOCK + 3,)], ids=str)
def test_place_by_place_they_are_philox_of_its_number(shape):
    key = draw_key()
    words = random_words(key, shape, stream=3)
    assert words.shape == shape
    flat = words.flatten()
    for place in {0, 1, 2, 3, 4, flat.numel() // 2, flat.numel() - 1} & set(range(flat.numel())):
        number = key.item()
        four = philox((number & 0xFFFFFFFF, number >> 32), (place // 4, 0, 3, 0))
        assert flat[place] == four[place % 4]


@pytest.mark.parametrize("shape", [(), (5,), (0, 2), (70, 33)], ids=str)
def test_compiled_they_are_the_same(shape):
    def words(key, x):
        return random_words(key, shape), random_words(key, shape, 1).to(torch.float64) * x

    compiled, key = tessera.compile(words), draw_key()
    assert all(torch.equal(a, b) for a, b in zip(compiled(key, 0.5), words(key, 0.5), strict=True))
    (made,) = compiled.report.compilations
    assert made.kernels >= (0 not in shape)
    assert not made.external_calls


def test_many_keys_at_once():
    torch.manual_seed(0)
    rows = torch.vmap(lambda x: random_words(draw_key(), x.shape), randomness="different")(torch.zeros(3, 5))
    torch.manual_seed(0)
    keys = torch.randint(2**63 - 1, (3,))
    assert torch.equal(rows, torch.stack([random_words(key, (5,)) for key in keys]))


def test_a_key_moves_torchs_generator_by_one_draw():
    torch.manual_seed(3)
    first, second = draw_key(), draw_key()
    torch.manual_seed(3)
    assert first == draw_key()
    assert first != second
    assert 0 <= first.item() < 2**63
