from __future__ import annotations

import io

import pytest
from rich.console import Console

from examples.demo import main, onnx_part
from examples.digits import DigitNet, Digits
from tessera.train.batches import Batch
from tessera.train.example_inputs import remember_inputs


def test_the_exported_model_gives_the_same_answers(tmp_path):
    model, images, out = DigitNet(), Digits.load(), io.StringIO()
    remember_inputs(model, Batch((images.images,), images.labels))  # as fit does
    onnx_part(Console(file=out, width=300), model, images, tmp_path)
    assert "accepted." in out.getvalue()
    assert "name the same digit on 357 of 357." in out.getvalue()
    assert (tmp_path / "digits.onnx").exists()


@pytest.mark.slow
def test_the_program_runs(tmp_path, capsys):
    main(["--quick", "--folder", str(tmp_path)])
    out = capsys.readouterr().out
    assert [line.split("  ")[0] for line in out.splitlines() if "──" in line and line[0].isdigit()] == list("1234")
    assert "of 357." in out
    assert sorted(file.name for file in tmp_path.iterdir()) == ["digits.onnx", "digits.safetensors", "gpt.safetensors"]
