from __future__ import annotations

import logging
import random

import numpy as np
import torch

from tessera.checkpoint import load, save
from tessera.checkpoint.random_state import RandomState


def draws():
    return random.random(), np.random.standard_normal(), torch.randn(2).tolist(), random.gauss(0, 1)  # noqa: NPY002


def test_all_generators_go_on_where_they_were(tmp_path):
    draws()
    save(tmp_path, rng=RandomState())
    expected = [draws() for _ in range(3)]
    draws()
    RandomState().load_state_dict(load(tmp_path)["rng"])
    assert [draws() for _ in range(3)] == expected


def test_a_rank_that_was_not_there_keeps_its_own(caplog):
    state = {"rank7": RandomState().state_dict()["rank0"]}
    torch.manual_seed(5)
    with caplog.at_level(logging.WARNING):
        RandomState().load_state_dict(state)
    after = torch.randn(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.randn(1))
    assert "this is rank 0" in caplog.text
