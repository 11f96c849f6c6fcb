from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from benchmarks.jax_device import check_jax, weights
from benchmarks.measure import NotMeasured


def test_without_jax_it_is_a_missing_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ModuleNotFoundError) as missing:
        check_jax(torch.device("cpu"))
    assert missing.value.name == "jax"


@pytest.mark.peers
def test_jax_must_be_where_the_run_is():
    check_jax(torch.device("cpu"))
    with pytest.raises(NotMeasured, match="JAX runs on cpu here"):
        check_jax(torch.device("cuda", 0))


@pytest.mark.peers
def test_weights_keep_names_and_values():
    layer = torch.nn.Linear(3, 2)
    found = weights(layer)
    assert list(found) == ["weight", "bias"]
    np.testing.assert_array_equal(np.asarray(found["weight"]), layer.weight.detach().numpy())
