from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from tessera.errors import ExportError
from tessera.export import safetensors
from tessera.export.export import export


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("scale", torch.tensor(float("nan")))


def test_weights_and_buffers_come_back(tmp_path):
    module = Tied()
    exported = export(module, tmp_path / "model.safetensors")
    assert exported.accepted
    assert exported.max_error == 0.0
    assert "All 2 tensors (16 numbers) were read back." in exported.notes
    written = load_file(exported.path)
    assert torch.equal(written["embedding.weight"], module.embedding.weight)
    assert written["scale"].isnan()


def test_a_file_that_came_back_different(tmp_path, monkeypatch):
    def read(path):
        return {name: tensor + 1 for name, tensor in load_file(path).items()}

    monkeypatch.setattr(safetensors, "read_weights", read)
    with pytest.raises(ExportError) as error:
        export(torch.nn.Linear(2, 1, bias=False), tmp_path / "model.safetensors")
    assert str(error.value) == (
        "model.safetensors was written and read back, and weight is not what it is in Linear. "
        "A weights file holds the model's own bits. Check the disk and write the file again."
    )
    assert list(tmp_path.iterdir()) == []
