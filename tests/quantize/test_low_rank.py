"""LoRA: nothing before training, a product of the rank after."""

from __future__ import annotations

import torch

from tessera.quantize.low_rank import LowRank


def test_is_nothing_until_it_is_trained():
    part, x = LowRank(6, 4, 2, torch.float32, torch.device("cpu")), torch.randn(3, 6)
    assert not part(x).any()
    with torch.no_grad():
        part.up.normal_()
    torch.testing.assert_close(part(x), 2 * x @ (part.up @ part.down).T)
