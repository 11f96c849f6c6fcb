import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import add_noise

PARAM = torch.zeros(20000, dtype=torch.float64)


def noise(seed=0, steps=3, params=(PARAM,)):
    tx = add_noise(0.5, 0.55, seed)
    states, seen = [tx.init(param) for param in params], []
    for _ in range(steps):
        updates, states = tx.update([torch.zeros_like(p) for p in params], states, params)
        seen.append(updates)
    return seen


def test_its_variance_falls_as_the_equation_says():
    for step, (update,) in enumerate(noise()):
        variance = 0.5 / (1 + step) ** 0.55
        assert update.var().item() == pytest.approx(variance, rel=0.05)
        assert abs(update.mean().item()) < 5 * (variance / update.numel()) ** 0.5
        assert update.pow(4).mean().item() == pytest.approx(3 * variance**2, rel=0.2)  # as of a normal distribution


def test_it_is_the_same_every_time_and_another_for_another_seed_step_or_parameter():
    first, again, other = noise(), noise(), noise(seed=1)
    assert torch.equal(first[0][0], again[0][0])
    pair = noise(params=(PARAM, PARAM))[0]
    for a, b in ((first[0][0], other[0][0]), (first[0][0], first[1][0]), tuple(pair)):
        assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 0.05


def test_torchs_stream_is_left_alone():
    before = torch.get_rng_state()
    noise()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("arguments", [(-1.0,), (0.1, -0.5)])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        add_noise(*arguments)
