import itertools

import torch

from tessera.optim.counter_random import random_bits, random_normal

LIKE = torch.empty(1 << 16)


def bits(seed=0, stream=0, count=0.0, like=LIKE):
    return random_bits(like, seed, stream, torch.tensor(count))


def test_every_bit_is_a_coin():
    drawn = bits()
    assert drawn.dtype == torch.int64
    assert 0 <= drawn.min() <= drawn.max() < 1 << 32
    for place in range(32):
        assert abs((drawn >> place & 1).double().mean() - 0.5) < 5 * 0.5 / LIKE.numel() ** 0.5


def test_numbers_fill_the_range_evenly():
    counts = torch.bincount(bits() >> 24, minlength=256).double()
    expected = LIKE.numel() / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 255) < 5 * (2 * 255) ** 0.5


def test_neighbours_have_nothing_to_do_with_each_other():
    """Positions, counts, streams and seeds that differ by one."""
    drawn = [bits(), bits(seed=1), bits(stream=1), bits(count=1.0), bits().roll(1), bits(seed=1, stream=1)]
    for a, b in itertools.combinations(drawn, 2):
        flipped = torch.stack([((a ^ b) >> place & 1).double().mean() for place in range(32)])
        assert (flipped - 0.5).abs().max() < 6 * 0.5 / LIKE.numel() ** 0.5


def test_it_is_a_function():
    assert torch.equal(bits(seed=-3, count=7.0), bits(seed=-3, count=7.0))
    assert bits(like=torch.empty(())).shape == ()
    assert bits(like=torch.empty(2, 0)).shape == (2, 0)
    assert torch.equal(bits(like=torch.empty(4, 4)).flatten(), bits(like=torch.empty(16)))


def test_normal_numbers_have_the_moments_of_the_normal_distribution():
    drawn = random_normal(LIKE, 0, 0, torch.tensor(0.0))
    tolerance = 5 / LIKE.numel() ** 0.5
    for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
        assert abs(drawn.pow(power).mean() - moment) < tolerance * (1, 1, 4, 10)[power - 1]
    inside = (drawn.abs() < 1).double().mean()
    assert abs(inside - torch.special.erf(torch.tensor(0.5).sqrt())) < tolerance
