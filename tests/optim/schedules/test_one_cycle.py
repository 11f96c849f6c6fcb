import pytest
import torch

from tessera.optim import one_cycle
from tests.optim.schedules.closed_form import assert_is, assert_refused, torchs


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize(("total", "start"), [(100, 0.3), (37, 0.45), (1000, 0.05)])
def test_torchs_values(strategy, three_phase, total, start):
    settings = {
        "pct_start": start,
        "anneal_strategy": strategy,
        "div_factor": 5.0,
        "final_div_factor": 50.0,
        "three_phase": three_phase,
    }
    rates = torchs(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.5, total, cycle_momentum=False, **settings), 0.5, total
    )
    assert_is(one_cycle(0.5, total, **settings), lambda t: rates[t], steps=total, tolerance=1e-11)


def test_it_stays_at_its_end():
    schedule = one_cycle(1.0, 50)
    late = schedule(torch.tensor([49.0, 50.0, 1e6], dtype=torch.float64))
    torch.testing.assert_close(late, torch.full_like(late, 1 / 25 / 1e4))


def test_bad_values_are_refused():
    assert_refused(
        lambda: one_cycle(1.0, 100, anneal_strategy="cosine"),
        'anneal_strategy=\'cosine\' was passed. anneal_strategy is "cos" or "linear". Write anneal_strategy="cos".',
    )
    assert_refused(
        lambda: one_cycle(1.0, 10, pct_start=0.05),
        "pct_start=0.05 of total_steps=10 was passed. Each of the 2 phases of the cycle takes a step at least. "
        "Write for example pct_start=0.3 with a cycle of 100 steps or more.",
    )
    assert_refused(
        lambda: one_cycle(1.0, 100, pct_start=0.6, three_phase=True),
        "pct_start=0.6 of total_steps=100 was passed. Each of the 3 phases of the cycle takes a step at least. "
        "Write for example pct_start=0.3 with a cycle of 100 steps or more.",
    )
