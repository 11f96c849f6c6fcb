import pytest
import torch

from tessera.optim import cosine_restarts
from tests.optim.schedules.closed_form import assert_is, assert_refused, torchs


@pytest.mark.parametrize(("first", "growth"), [(1, 1), (7, 1), (1, 2), (3, 2), (2, 3), (10, 10)])
def test_torchs_values(first, growth):
    steps = 400
    rates = torchs(
        lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, first, growth, eta_min=0.1), 0.5, steps
    )
    assert_is(cosine_restarts(0.5, first, growth, 0.1), lambda t: rates[t], steps=steps, tolerance=1e-9)


def test_a_restart_is_never_a_step_late():
    """The logarithm that finds the period is rounded; at the step of a restart the value is exact all the same."""
    for growth in (2, 3, 5, 10):
        begins = [7 * (growth**number - 1) // (growth - 1) for number in range(20 if growth == 2 else 8)]
        values = cosine_restarts(1.0, 7, growth)(torch.tensor(begins, dtype=torch.float64))
        assert torch.equal(values, torch.ones_like(values))


def test_bad_values_are_refused():
    assert_refused(
        lambda: cosine_restarts(1.0, 10, 0),
        "growth=0 was passed. growth is a whole number of at least 1: how many times longer each period is. "
        "Write growth=1 for periods of one length, or growth=2.",
    )
