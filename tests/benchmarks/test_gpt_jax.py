"""The JAX twin computes what the torch model computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import gpt, gpt_jax
from benchmarks.jax_device import weights
from benchmarks.plan import Plan

SIZE = gpt.Size(layers=2, dim=32, heads=2, length=16, batch=2, vocabulary=64)
pytestmark = pytest.mark.peers


def test_scores_and_loss_are_the_same():
    model = gpt.model(SIZE, torch.device("cpu"))
    x, y = gpt.batch(SIZE, torch.device("cpu"))
    with torch.no_grad():
        scores = model(x)
    parameters = weights(model)
    found = gpt_jax.forward(parameters, x.numpy(), SIZE.heads)
    np.testing.assert_allclose(np.asarray(found), scores.numpy(), rtol=1e-4, atol=1e-5)
    loss = gpt_jax.loss_of(parameters, x.numpy(), y.numpy(), SIZE.heads, "float32")
    assert float(loss) == pytest.approx(gpt.cross_entropy(scores, y).item(), rel=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.01)])
def test_steps_are_the_same(dtype, tolerance):
    eager = gpt.by_torch(Plan(), SIZE, compiled=False)
    run = gpt.by_jax(Plan(), SIZE, dtype=dtype)
    assert (run(), run()) == pytest.approx((eager(), eager()), rel=tolerance)
