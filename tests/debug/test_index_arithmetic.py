from __future__ import annotations

import pytest
import torch

import tessera
from tessera.errors import NonFiniteValueError

DISTANCE = torch.arange(4)
DATA = torch.ones(4)


def test_what_becomes_whole_numbers_again_is_put_away():
    with tessera.debug_mode() as debug:
        bucket = (torch.log(DISTANCE / 2) * 3).to(torch.long)
    assert bucket.dtype == torch.long
    assert debug.found == []


def test_data_that_meets_it_is_told_the_line_of_the_birth():
    def bias(scores):
        penalty = -torch.log(DISTANCE / 2)
        return scores + penalty * 2

    with tessera.debug_mode(), pytest.raises(NonFiniteValueError) as caught:
        bias(DATA)
    assert caught.value.where.code == "penalty = -torch.log(DISTANCE / 2)"


def test_a_mask_that_was_filled_may_meet_data():
    with tessera.debug_mode():
        scale = DISTANCE.float().pow(-0.5)
        scale[scale.isinf()] = 0
        scale = scale * DATA
    assert scale.isfinite().all()


def test_what_nothing_looks_at_is_told_at_the_end():
    debug = tessera.debug_mode()
    with pytest.raises(NonFiniteValueError, match="DISTANCE.log"), debug:
        DISTANCE.log()


def test_data_is_told_at_once():
    with tessera.debug_mode(), pytest.raises(NonFiniteValueError):
        (DATA * DISTANCE).log()
