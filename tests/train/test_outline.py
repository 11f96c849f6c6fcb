from __future__ import annotations

import pytest
import torch

from tessera.checkpoint.values import Flattening, unflatten
from tessera.train.batches import Batch
from tessera.train.outline import batch_like, outline

X, Y = torch.randn(4, 3), torch.arange(4)
BATCHES = {
    "positional": Batch((X, X.half()), Y),
    "by keyword": Batch((X,), Y, ("x",)),
    "weighted": Batch((X,), Y, weight=torch.rand(4)),
    "without labels": Batch((X,), None),
    "several labels": Batch((X,), (Y, {"shape": Y, "dtype": X})),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_a_batch_of_zeros_looks_like_the_batch(kind):
    batch, flattening = BATCHES[kind], Flattening()
    saved = unflatten(flattening.flatten(outline(batch), "outline"), {})
    assert flattening.tensors == {}  # nothing of the batch itself is kept
    made = batch_like(saved, torch.device("cpu"))
    assert outline(made) == outline(batch)
    assert made.names == batch.names
    assert made.inputs[0].dtype is X.dtype
    assert not made.inputs[0].any()


def test_other_batches_have_other_outlines():
    assert outline(Batch((X,), Y)) != outline(Batch((X[:2],), Y[:2])) != outline(Batch((X[:2].double(),), Y[:2]))
