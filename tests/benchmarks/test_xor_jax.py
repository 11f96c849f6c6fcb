"""The JAX twin computes what the torch network computes; `test_xor.py` follows its losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import xor, xor_jax
from benchmarks.jax_device import weights

pytestmark = pytest.mark.peers


def test_converters_make_arrays_of_fp32():
    import jax

    to_jax, to_numpy = xor_jax.converters()
    assert isinstance(to_jax((0.0, 1.0)), jax.Array)
    assert isinstance(to_numpy((0.0, 1.0)), np.ndarray)
    assert to_jax((0.0, 1.0)).dtype == to_numpy((0.0, 1.0)).dtype == np.float32


def test_an_update_is_that_of_torch():
    model = xor.network(torch.device("cpu"))
    parameters, loss = xor_jax.update(weights(model), np.array([0.0, 1.0]), np.array([1.0]), 0.5)
    expected = torch.nn.functional.mse_loss(model(torch.tensor([0.0, 1.0])), torch.tensor([1.0]))
    expected.backward()
    torch.optim.SGD(model.parameters(), lr=0.5).step()
    assert float(loss) == pytest.approx(expected.item(), rel=1e-5)
    for name, value in model.named_parameters():
        np.testing.assert_allclose(np.asarray(parameters[name]), value.detach().numpy(), rtol=1e-5)
