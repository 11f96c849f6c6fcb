from __future__ import annotations

import sys

import pytest
import torch

from tessera.errors import ExportError, MissingDependencyError
from tessera.export.export import export

pytest.importorskip("jax")
pytestmark = pytest.mark.filterwarnings("ignore")  # torchax's and JAX's own


def _torchax_is_there() -> bool:
    try:
        import torchax.export  # noqa: F401
    except (ImportError, AttributeError):
        return False
    return True


class Scores(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 4)

    def forward(self, tokens, *, mask):
        each = self.embedding(tokens) * mask.unsqueeze(-1)
        return {"sum": each.sum(1), "best": each.argmax(1), "positive": each > 0}


@pytest.mark.skipif(not _torchax_is_there(), reason="torchax cannot be imported beside this torch")
def test_several_sizes_and_64_bits(tmp_path):
    inputs = {"tokens": torch.randint(0, 10, (2, 6)), "mask": torch.rand(2, 6)}
    dims = {name: {0: "B", 1: torch.export.Dim("S", max=32)} for name in inputs}
    report = export(Scores(), tmp_path / "model.stablehlo", inputs, dims, measure=False)
    assert report.accepted
    assert "S 32" in report.reason


def test_torchax_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchax", None)
    monkeypatch.setitem(sys.modules, "torchax.export", None)
    with pytest.raises(MissingDependencyError, match="pip install torchax jax"):
        export(torch.nn.Linear(2, 2), tmp_path / "model.stablehlo", torch.ones(2, 2))
    assert list(tmp_path.iterdir()) == []


def test_torchax_is_for_another_torch(tmp_path, monkeypatch):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "torchax":
                message = "The underlying op of 'aten.prod' has no overload name 'dim_Dimname'"
                raise AttributeError(message)

    for name in [each for each in sys.modules if each.partition(".")[0] == "torchax"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(ExportError) as error:
        export(torch.nn.Linear(2, 2), tmp_path / "model.stablehlo", torch.ones(2, 2))
    assert str(error.value) == (
        "An export to StableHLO was asked for, and torchax cannot be imported beside torch "
        f"{torch.__version__}: The underlying op of 'aten.prod' has no overload name 'dim_Dimname'. "
        "Nothing else that is kept up writes a torch model as StableHLO, and torchax 0.0.13 is for torch 2.12. "
        "Export with torch 2.12, or to .onnx or .tflite."
    )
