from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from examples.demo import main, onnx_part
from examples.digits import DigitNet, Digits


def test_the_exported_model_gives_the_same_answers(tmp_path):
    torch.manual_seed(0)
    out = io.StringIO()
    onnx_part(Console(file=out, width=300), DigitNet(), Digits.load(), tmp_path)
    assert "accepted." in out.getvalue()
    assert "name the same digit on 360 of 357." in out.getvalue()
    assert (tmp_path / "digits.onnx").exists()


@pytest.mark.slow
def test_the_program_runs(tmp_path, capsys):
    main(["--quick", "--folder", str(tmp_path)])
    out = capsys.readouterr().out
    assert [line.split("  ")[0] for line in out.splitlines() if "──" in line and line[0].isdigit()] == list("1234")
    assert "of 357." in out
    assert sorted(file.name for file in tmp_path.iterdir()) == ["digits.onnx", "digits.safetensors", "gpt.safetensors"]
