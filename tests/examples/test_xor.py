from __future__ import annotations

import torch

from examples.xor import main, network, step_by_step, through_fit


def test_both_ways_are_the_same_training():
    (first, loss), (second, same_loss) = step_by_step(100), through_fit(100)
    assert abs(loss - same_loss) < 1e-6
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.equal(first[0].weight, network()[0].weight)


def test_the_program_runs(capsys):
    main(["--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step by step: 400 steps in ")
    assert lines[1].startswith("through fit: 400 steps in ")
    assert lines[5].startswith("  1 xor 1 = ")
