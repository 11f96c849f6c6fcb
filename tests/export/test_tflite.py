from __future__ import annotations

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.example import Example
from tessera.export.export import export
from tessera.export.tflite import load_tflite

pytest.importorskip("litert_torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # litert-torch's and JAX's own


class Scores(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 4)

    def forward(self, tokens, *, mask, wanted=None):
        each = self.embedding(tokens) * mask.unsqueeze(-1)
        return {"sum": each.sum(1), "again": each.sum(1), "best": each.argmax(1), "none": wanted, "positive": each > 0}


def test_fixed_sizes_names_and_whole_numbers(tmp_path, capfd):
    module = Scores()
    inputs = {"tokens": torch.randint(0, 10, (2, 6)), "mask": torch.rand(2, 6)}
    dims = {name: {0: "B", 1: "S"} for name in inputs}
    report = export(module, tmp_path / "model.tflite", inputs, dims, measure=False)
    assert report.accepted
    assert capfd.readouterr().out == ""
    assert list(report.notes) == [
        "TFLite has fixed sizes: this file takes B 2, S 6 and nothing else.",
        "Its outputs output_0, output_1 and so on are sum, again, best, positive.",
        "TFLite takes tokens as int32.",
    ]
    fresh = (torch.randint(0, 10, (2, 6)), torch.rand(2, 6))
    answers = load_tflite(report.path)(Example(fresh, tuple(inputs), ({}, {})))
    expected = module(fresh[0], mask=fresh[1])
    for answer, name in zip(answers, ("sum", "again", "best", "positive"), strict=True):
        torch.testing.assert_close(answer, expected[name].detach(), check_dtype=False)


def test_several_sizes_are_several_signatures_over_the_same_weights(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(64, 300), torch.nn.ReLU(), torch.nn.Linear(300, 3))
    dims = {"input": {0: "B", 1: "S"}}
    report = export(
        module, tmp_path / "m.tflite", torch.randn(2, 6, 64), dims, measure=False, sizes={"B": (1, 8), "S": (4, 6)}
    )
    assert list(report.notes) == [
        "TFLite has fixed sizes: this file takes B 1, S 4; B 1, S 6; B 8, S 4; B 8, S 6 and nothing else.",
        "Its signatures are B_1_S_4, B_1_S_6, B_8_S_4, B_8_S_6.",
    ]
    assert report.reason.count("B 8, S 4") == 1
    weights = sum(parameter.numel() * 4 for parameter in module.parameters())
    assert report.size < 1.5 * weights
    run = load_tflite(report.path)
    for batch, time in ((1, 6), (8, 4)):
        x = torch.randn(batch, time, 64)
        torch.testing.assert_close(run(Example((x,), ("input",), ({},)))[0], module(x).detach())
    with pytest.raises(ValueError, match=r"no signature of the file takes input \[2, 6, 64\]"):
        run(Example((torch.randn(2, 6, 64),), ("input",), ({},)))


def test_state_is_refused(tmp_path):
    class Counts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return x * self.calls.sign()

    with pytest.raises(ExportError, match="Counts changes its buffers in a call: calls"):
        export(Counts(), tmp_path / "model.tflite", torch.ones(2, 2))


def test_an_operator_that_it_does_not_know(tmp_path):
    class Unknown(torch.nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    with pytest.raises(ExportError) as error:
        export(Unknown(), tmp_path / "model.tflite", torch.ones(2, 2))
    assert error.value.received == (
        "Unknown could not be written for TFLite: no operator of it for aten.special_bessel_j0."
    )
    assert error.value.where.code == "return torch.special.bessel_j0(x)"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_positions_that_see_nothing_are_zeros(tmp_path, dtype):
    class Attention(torch.nn.Module):
        def forward(self, x, mask):
            return torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    admitted = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    nowhere = admitted.clone()
    nowhere[0, :, 2] = False
    first, second = (
        m if dtype is torch.bool else torch.zeros(m.shape).masked_fill(~m, -torch.inf) for m in (admitted, nowhere)
    )
    x = torch.randn(2, 2, 4, 8)
    report = export(Attention(), tmp_path / "m.tflite", (x, first), measure=False)
    (answer,) = load_tflite(report.path)(Example((x, second), ("x", "mask"), ({}, {})))
    torch.testing.assert_close(answer, Attention()(x, second))
