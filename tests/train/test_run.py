from __future__ import annotations

import torch

from tessera.train.history import History
from tessera.train.run import Run


def test_the_first_reason_to_stop_stays():
    run = Run(torch.nn.Linear(1, 1), [], History())
    assert run.stopped == ""
    run.stop("")
    assert run.stopped == ""
    run.stop("enough")
    run.stop("too late")
    assert run.stopped == "enough"
