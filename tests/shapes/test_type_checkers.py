"""Type checkers take the annotations as they are: no error in right code. Those that are installed are asked."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
NAMES_DECLARED = """
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
from tessera import Tensor, dims
from torch import nn

B, S, T, D = dims("B S T D")


@dataclass
class Batch:
    tokens: Tensor["B", "S", torch.int64]
    mask: Optional[Tensor["B", "S"]] = None


def attention(q: Tensor["B", "S", 64], k: Tensor["B", "T", 64]) -> Tensor["B", "S", "T"]:
    scores = q @ k.transpose(-2, -1)
    return scores.softmax(dim=-1)


def doubled(x: Tensor[B, S, D], *, scale: float = 2.0) -> Tensor[B, S, 2 * D]:
    return torch.cat([x, x * scale], dim=-1)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 64)

    def forward(self, batch: Batch) -> Tensor["B", "S", 64]:
        x = self.embed(batch.tokens)
        return x if batch.mask is None else x * batch.mask[..., None]


def use() -> torch.Tensor:
    x = torch.zeros(2, 3, 64)
    y = attention(x, x)
    rows: list[torch.Tensor] = [doubled(x), y]
    return torch.stack(rows) + y.sum()
"""
COMMANDS = {
    "mypy": ["mypy", "--python-executable", sys.executable],
    "pyright": ["pyright", "--pythonpath", sys.executable],
    "pyrefly": ["pyrefly", "check", "--python-interpreter-path", sys.executable, "--search-path", str(HERE)],
}


def said(checker: str, text: str, folder: Path) -> tuple[int, str]:
    if shutil.which(checker) is None:
        pytest.skip(f"{checker} is not installed")
    file = folder / "sample.py"
    file.write_text(text)
    command = [*COMMANDS[checker], str(file)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("checker", COMMANDS)
def test_annotations_are_no_errors_and_an_unknown_name_is_one(checker, tmp_path):
    status, text = said(checker, NAMES_DECLARED, tmp_path)
    assert status == 0, text
    status, text = said(checker, NAMES_DECLARED + "\n\nprint(not_a_name)\n", tmp_path)
    assert status != 0, text
