from __future__ import annotations

import pytest
import torch

from tessera.errors import ArtefactError, ExportError
from tessera.export import load_model
from tessera.export.export import export


def test_an_artefact_runs_without_its_model(tmp_path):
    net, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    report = export(net, tmp_path / "m.tessera", x, measure=False)
    run = load_model(str(report.path))
    for size in (1, 5):
        x = torch.randn(size, 3)
        (answer,) = run(x)
        torch.testing.assert_close(answer, net(x))


@pytest.mark.parametrize(("name", "error"), [("m.tessera", ArtefactError), ("m.pt2", ExportError)])
def test_a_damaged_file(tmp_path, name, error):
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(error):
        load_model(tmp_path / name)


def test_another_format():
    with pytest.raises(ExportError, match=r"'m.onnx'. Tessera itself runs .tessera and .pt2;"):
        load_model("m.onnx")
