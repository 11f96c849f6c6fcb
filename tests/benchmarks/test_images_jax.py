"""The JAX twins compute what the torch models compute."""

from __future__ import annotations

import pytest

from benchmarks import images
from benchmarks.image_models import Residuals
from benchmarks.plan import Plan

pytestmark = pytest.mark.peers

WORKS = {
    "resnet": images.resnet(Residuals((8, 16), (2, 1)), batch=4),
    "bottlenecks": images.resnet(Residuals((8, 16), (2, 1), (1, 3, 1), 4, (7, 2, 3), pools=True), batch=4),
    "vit": images.vit(2, 24, 3, 4),
    "mlp": images.mlp(16, 8),
}


@pytest.mark.parametrize("work", WORKS.values(), ids=list(WORKS))
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.01)])
def test_steps_are_the_same(work, dtype, tolerance):
    eager = images.by_torch(Plan(), work, compiled=False)
    run = images.by_jax(Plan(), work, dtype=dtype)
    assert (run(), run()) == pytest.approx((eager(), eager()), rel=tolerance)
