from __future__ import annotations

import torch

from examples.digits import HELD_OUT, DigitNet, Digits, main


def test_the_split_is_fixed_and_complete():
    digits, again = Digits.load(), Digits.load()
    assert len(digits.held_out_labels) == HELD_OUT
    assert len(digits.labels) + HELD_OUT == 1797
    assert torch.equal(digits.held_out_images, again.held_out_images)
    assert digits.images.shape[1:] == (1, 8, 8)
    assert digits.images.min() == 0
    assert digits.images.max() == 1


def test_the_program_runs(tmp_path, capsys):
    main(["--quick", "--folder", str(tmp_path)])
    out = capsys.readouterr().out
    assert "validation accuracy" in out
    assert out.splitlines()[-1] == f"saved to {tmp_path / 'digits.safetensors'}"
    assert "head.0.weight" in DigitNet().load(tmp_path / "digits.safetensors")
