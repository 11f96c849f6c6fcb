from __future__ import annotations

import torch
import torch.nn.functional as F

from tessera.nn.losses import kl_div


def test_it_is_summed_over_a_sample_and_averaged_over_the_batch():
    given, wanted = torch.randn(5, 3, 4).log_softmax(-1), torch.rand(5, 3, 4).softmax(-1)
    assert kl_div(given, wanted) == F.kl_div(given, wanted, reduction="batchmean")
    values = torch.stack([F.kl_div(a, b, reduction="sum") for a, b in zip(given, wanted, strict=True)])
    torch.testing.assert_close(kl_div(given, wanted, reduction="none"), values)


def test_one_number_a_sample():
    given, wanted = torch.rand(5).log(), torch.rand(5)
    assert torch.equal(kl_div(given, wanted, reduction="none"), F.kl_div(given, wanted, reduction="none"))
