from __future__ import annotations

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.asked import read_example
from tessera.export.example import Example
from tessera.export.export import export
from tessera.export.format import Options
from tessera.export.openvino import load_openvino, write_openvino

openvino = pytest.importorskip("openvino")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # OpenVINO's own


class Scores(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 4)

    def forward(self, tokens, *, mask, wanted=None):
        each = self.embedding(tokens) * mask.unsqueeze(-1)
        return {"sum": each.sum(1), "best": each.argmax(1), "none": wanted, "positive": each > 0}


def test_several_sizes_names_and_dtypes(tmp_path):
    module = Scores()
    inputs = {"tokens": torch.randint(0, 10, (2, 6)), "mask": torch.rand(2, 6)}
    dims = {name: {0: "B", 1: torch.export.Dim("S", max=32)} for name in inputs}
    report = export(module, tmp_path / "model.xml", inputs, dims, measure=False)
    assert report.accepted
    assert report.operators["Gather"] == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    model = openvino.Core().read_model(report.path)
    assert [(port.any_name, str(port.partial_shape)) for port in model.inputs] == [
        ("tokens", "[?,..32]"),
        ("mask", "[?,..32]"),
    ]
    assert [port.any_name for port in model.outputs] == ["sum", "best", "positive"]
    tokens, mask = torch.randint(0, 10, (3, 9)), torch.rand(3, 9)
    answers = load_openvino(report.path)(Example((tokens, mask), ("tokens", "mask"), ({}, {})))
    expected = module(tokens, mask=mask)
    for answer, name in zip(answers, ("sum", "best", "positive"), strict=True):
        torch.testing.assert_close(answer, expected[name].detach())


def test_a_sample_of_nothing_but_padding(tmp_path):
    class Attention(torch.nn.Module):
        def forward(self, x, mask):
            return torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask[:, None, :].bool())

    mask = torch.tensor([[1.0, 1, 0], [0, 0, 0]])
    dims = ({0: "B", 1: "S"}, {0: "B", 1: "S"})
    assert export(Attention(), tmp_path / "model.xml", (torch.randn(2, 3, 4), mask), dims, measure=False).accepted


def test_weights_are_not_rounded(tmp_path):
    module = torch.nn.Linear(64, 1, bias=False)
    torch.nn.init.constant_(module.weight, 1 + 2**-20)
    export(module, tmp_path / "model.xml", torch.ones(1, 64), ({},), measure=False)
    answer = load_openvino(tmp_path / "model.xml")(Example((torch.eye(64)[:1],), ("input",), ({},)))[0]
    assert answer.item() == 1 + 2**-20


def test_state_is_refused(tmp_path):
    class Counts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return x + self.calls

    flat, example = read_example(Counts(), torch.ones(2), None)
    with pytest.raises(ExportError, match="Counts changes its buffers in a call: calls"):
        write_openvino(flat, example, tmp_path / "model.xml", Options())


def test_an_operator_that_it_does_not_know(tmp_path):
    class Unknown(torch.nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    with pytest.raises(ExportError) as error:
        export(Unknown(), tmp_path / "model.xml", torch.ones(2, 2))
    assert str(error.value).startswith(
        "Unknown could not be written for OpenVINO: no operator of it for aten.special_bessel_j0."
    )
    assert error.value.where.code == "return torch.special.bessel_j0(x)"
    assert list(tmp_path.iterdir()) == []
