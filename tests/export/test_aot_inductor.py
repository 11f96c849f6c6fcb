from __future__ import annotations

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.aot_inductor import load_package
from tessera.export.asked import read_example
from tessera.export.export import export

X = torch.randn(4, 3)


class Both(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, x, scale):
        return {"y": self.layer(x).relu() * scale, "best": x.argmax(1)}


def test_any_batch_size_answers_as_the_model_and_no_changed_package_is_run(tmp_path):
    inputs = (X, torch.rand(4, 1))
    exported = export(Both(), tmp_path / "m.pt2", inputs, measure=False, metadata={"author": "me"})
    assert (exported.format, exported.accepted) == ("AOTInductor", True)
    assert "batch 1; " in exported.reason
    assert exported.operators["aten.linear"] == 1
    assert "Compiled for " in exported.notes[0]
    _, example = read_example(Both(), inputs, None)
    assert [tuple(t.shape) for t in load_package(exported.path)(example)] == [(4, 2), (4,)]
    changed = tmp_path / "changed.pt2"
    content = bytearray(exported.path.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    with pytest.raises(ExportError):
        load_package(changed)


def test_another_device_than_this_one(tmp_path):
    with pytest.raises(ExportError, match="target='h200' was passed") as error:
        export(torch.nn.Linear(3, 2), tmp_path / "m.pt2", X, target="h200")
    assert "target='cpu'" in error.value.fix


def test_a_loop_over_a_computed_time_is_named(tmp_path):
    class Reader(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.look = torch.nn.Conv1d(1, 4, 3, 2, 1)
            self.read = torch.nn.GRU(4, 5)

        def forward(self, x):
            return self.read(self.look(x).permute(2, 0, 1))[0]

    size = {"x": {0: "B", 2: torch.export.Dim("W", min=8, max=64)}}
    with pytest.raises(ExportError, match="a recurrent layer over a time that is computed from W") as error:
        export(Reader(), tmp_path / "m.pt2", torch.randn(2, 1, 20), size, measure=False)
    assert error.value.where is not None
    assert error.value.where.code.startswith("return self.read(")
    assert list(tmp_path.iterdir()) == []
