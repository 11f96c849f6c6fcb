from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import tessera
from tessera import Tensor
from tessera.check.stand_ins import stand_in

SPOKEN, WORDS = torch.zeros(11, 3, 5).log_softmax(-1), torch.ones(3, 4, dtype=torch.int64)
LENGTHS, COUNTS = torch.full((3,), 11), torch.full((3,), 4)


@pytest.mark.parametrize("options", [{}, {"reduction": "none"}, {"reduction": "sum"}])
def test_it_gives_the_shape_that_torch_gives(options):
    args = SPOKEN, WORDS, LENGTHS, COUNTS
    assert stand_in(F.ctc_loss)(*args, **options).shape == F.ctc_loss(*args, **options).shape


@pytest.mark.parametrize(
    "args",
    [
        (SPOKEN.transpose(0, 1), WORDS, LENGTHS, COUNTS),
        (SPOKEN, WORDS, LENGTHS[:2], COUNTS),
        (SPOKEN, WORDS, LENGTHS, COUNTS[:2]),
        (SPOKEN, WORDS[:2], LENGTHS, COUNTS),
        (WORDS, SPOKEN, LENGTHS, COUNTS),
    ],
)
def test_it_refuses_what_torch_refuses(args):
    for function in (F.ctc_loss, stand_in(F.ctc_loss)):
        with pytest.raises((RuntimeError, IndexError)):
            function(*args, reduction="none")


def test_others_are_called_themselves():
    assert stand_in(torch.relu) is torch.relu


def test_a_loss_of_letters_is_checked_to_its_end():
    def right(
        spoken: Tensor["T", "B", 29],
        words: Tensor["B", 7, torch.int64],
        n: Tensor["B", torch.int64],
        m: Tensor["B", torch.int64],
    ) -> Tensor["B"]:
        return F.ctc_loss(spoken.log_softmax(-1), words, n, m, reduction="none")

    def wrong(
        spoken: Tensor["B", "T", 29],
        words: Tensor["B", 7, torch.int64],
        n: Tensor["B", torch.int64],
        m: Tensor["B", torch.int64],
    ) -> Tensor["B"]:
        return F.ctc_loss(spoken.log_softmax(-1), words, n, m, reduction="none")

    report = tessera.check(right)
    assert report.ok
    assert not report.notes
    (finding,) = tessera.check(wrong).errors
    assert "input_lengths" in finding.why
