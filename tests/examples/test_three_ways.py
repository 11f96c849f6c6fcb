from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from examples import digits
from examples.three_ways import compare, digit_batches, main, nothing_compiled_before


def test_all_train_the_same():
    found = compare(digits.DigitNet, digit_batches(digits.Digits.load(), 12))
    assert [contender.name for contender in found] == ["PyTorch eager", "torch.compile", "Tessera"]
    eager = found[0]
    for contender in found:
        torch.testing.assert_close(contender.loss, eager.loss, rtol=1e-4, atol=1e-5)
        assert len(contender.steps_s) == 11
        assert 0 < contender.step_ms < 1000 * contender.first_s
        assert contender.compile_s >= 0


def test_the_compile_cache_is_empty_and_put_back(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "before")
    with nothing_compiled_before():
        folder = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
        assert list(folder.iterdir()) == []
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "before"
    assert not folder.exists()
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    with nothing_compiled_before():
        assert "TORCHINDUCTOR_CACHE_DIR" in os.environ
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


@pytest.mark.slow
def test_the_program_runs(capsys):
    main(["--quick"])
    out = capsys.readouterr().out
    assert out.count("torch.compile") == 2
    assert "last loss" in out
