from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from tessera.errors import ExportError
from tessera.export import safetensors
from tessera.export.safetensors import export_safetensors


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("scale", torch.tensor(float("nan")))


def test_weights_and_buffers_come_back(tmp_path):
    module = Tied()
    exported = export_safetensors(module, tmp_path / "model.safetensors")
    assert exported.accepted
    assert exported.max_error == 0.0
    assert exported.reason == "All 2 tensors (16 numbers) were read back."
    written = load_file(exported.path)
    assert torch.equal(written["embedding.weight"], module.embedding.weight)
    assert written["scale"].isnan()


def test_a_file_that_came_back_different(tmp_path, monkeypatch):
    def read(path):
        return {name: tensor + 1 for name, tensor in load_file(path).items()}

    monkeypatch.setattr(safetensors, "read_weights", read)
    path = tmp_path / "model.safetensors"
    with pytest.raises(ExportError) as error:
        export_safetensors(torch.nn.Linear(2, 1, bias=False), path)
    assert str(error.value) == (
        f"{path}.rejected was written and read back, and weight is not what it is in Linear. "
        "A weights file holds the model's own bits. Check the disk and write the file again."
    )
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors.rejected"]
