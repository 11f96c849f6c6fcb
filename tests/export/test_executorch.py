from __future__ import annotations

import copy

import pytest
import torch

import tessera
from tessera.errors import ExportError
from tessera.export.asked import read_example
from tessera.export.example import Example
from tessera.export.executorch import load_executorch, write_executorch
from tessera.export.export import export
from tessera.export.format import Options
from tessera.quantize import Rule

pytest.importorskip("executorch.exir")
pytestmark = pytest.mark.filterwarnings("ignore")  # ExecuTorch's and torchao's own


def answers(path, *tensors):
    return load_executorch(path)(Example(tensors, (), ()))


class Block(torch.nn.Module):
    """Viewed attention, a size in an unsqueeze, tied weights."""

    def __init__(self):
        super().__init__()
        self.tokens = torch.nn.Embedding(11, 8)
        self.mix = torch.nn.Linear(8, 24)
        self.out = torch.nn.Linear(8, 11, bias=False)
        self.out.weight = self.tokens.weight

    def forward(self, ids, *, mask, unused=None):
        x = self.tokens(ids) * mask.unsqueeze(-1)
        batch, time = ids.shape
        q, k, v = self.mix(x).view(batch, time, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return {"logits": self.out(y.transpose(1, 2).contiguous().view(batch, time, 8)), "none": unused}


@pytest.mark.parametrize("target", [None, "portable"])
def test_several_sizes(tmp_path, target):
    module = Block()
    inputs = {"ids": torch.randint(0, 11, (2, 5)), "mask": torch.ones(2, 5)}
    dims = {name: {0: "B", 1: torch.export.Dim("S", max=40)} for name in inputs}
    report = export(module, tmp_path / "model.pte", inputs, dims, measure=False, target=target)
    assert report.accepted
    assert "S 40" in report.reason
    assert "Its memory is planned for B 16, S 40 at most: declare other bounds with torch.export.Dim." in report.notes
    assert ("XnnpackBackend" in report.operators) == (target is None)
    ids, mask = torch.randint(0, 11, (3, 9)), torch.ones(3, 9)
    torch.testing.assert_close(answers(report.path, ids, mask)[0], module(ids, mask=mask)["logits"].detach())
    with pytest.raises(ExportError, match="The runtime did not take this"):
        answers(report.path, ids.repeat(1, 5), mask.repeat(1, 5))


@pytest.mark.parametrize("most", [None, 40])
def test_convolutions_of_every_batch_that_the_file_is_for(tmp_path, most):
    """The kernel that torch would choose depends on whether there are 16, which once bounded every file by 15."""
    layers = [torch.nn.Conv1d(3, 4, 3), torch.nn.BatchNorm1d(4), torch.nn.Flatten(), torch.nn.Linear(28, 2)]
    module = torch.nn.Sequential(*layers).eval()
    dims = {"input": {0: "B" if most is None else torch.export.Dim("B", max=most)}}
    report = export(module, tmp_path / "m.pte", torch.randn(3, 3, 9), dims, measure=False)
    largest = most or 16
    assert f"planned for B {largest} at most" in str(report)
    assert f"B {largest}" in report.reason
    x = torch.randn(largest, 3, 9)
    torch.testing.assert_close(answers(tmp_path / "m.pte", x)[0], module(x), atol=1e-5, rtol=1e-5)


def test_a_recurrent_layer_over_any_batch_and_time(tmp_path):
    layer = torch.nn.GRU(4, 5, batch_first=True)
    report = export(layer, tmp_path / "model.pte", torch.randn(2, 6, 4), ({0: "B", 1: "S"},), measure=False)
    assert report.accepted
    run = load_executorch(report.path)
    for batch, time in ((1, 1), (16, 24), (5, 3)):  # one file, longer and shorter again
        x = torch.randn(batch, time, 4)
        torch.testing.assert_close(run(Example((x,), (), ()))[0], layer(x)[0].detach())


def test_the_first_of_several_outputs_of_a_split_keeps_its_size(tmp_path):
    class Parts(torch.nn.Module):
        def forward(self, x):
            first, second = x.split(2, 1)
            return torch.arange(x.shape[0]) * first[:, 0] + second[:, 1]

    assert export(Parts(), tmp_path / "model.pte", torch.randn(3, 4), ({0: "B"},), measure=False).accepted


def test_attention_whose_views_were_written_out_and_a_sort(tmp_path):
    class Sorted(torch.nn.Module):
        def forward(self, x):
            batch, time = x.shape[:2]
            q = x.view(batch, time, 2, 4).transpose(1, 2)
            y = torch.nn.functional.scaled_dot_product_attention(q, q, q).transpose(1, 2).contiguous()
            values, order = y.reshape(batch, time, -1).contiguous().sort(1)
            return values, torch.empty_like(order).copy_(order).float()

    dims = ({0: "B", 1: "S"},)
    report = export(Sorted(), tmp_path / "model.pte", torch.randn(2, 5, 8), dims, measure=False)
    assert report.accepted
    assert report.operators["aten::topk"] == 1


class Activated(torch.nn.Module):
    """What XNNPACK computes with other arguments than these."""

    def forward(self, x):
        nn = torch.nn.functional
        return nn.gelu(x, approximate="tanh"), nn.selu(x), nn.celu(x, 2.0), nn.elu(x, 0.7), nn.gelu(x)


def test_activations_keep_their_arguments(tmp_path):
    x = torch.linspace(-4, 4, 24).view(3, 8)
    report = export(Activated(), tmp_path / "model.pte", x, measure=False)
    assert report.accepted
    assert "XnnpackBackend" in report.operators


class Loop(torch.nn.Module):
    """Who goes where is data: a loop over the experts, as many write it."""

    def forward(self, x):
        flat = x.reshape(-1, 4)
        answer = torch.zeros_like(flat)
        for at in range(2):
            (token,) = torch.where(flat.argmax(-1) % 2 == at)
            answer.index_add_(0, token, flat[token] * (at + 1))
        return answer.view_as(x), (x > 0).nonzero()


@pytest.mark.slow
def test_places_that_are_data(tmp_path):
    x = torch.randn(2, 5, 4)
    assert export(Loop(), tmp_path / "model.pte", x, ({0: "B", 1: "S"},), measure=False).accepted


class Shifted(torch.nn.Module):
    """Transformer-XL's shift: the last two dimensions exchanged in a view, a line left out, and back."""

    def forward(self, x):
        batch, queries, keys = x.shape
        x = x.reshape(batch, keys, queries)[:, 1:].reshape(batch, queries, keys - 1)
        return x[..., :queries]


@pytest.mark.slow
def test_a_view_whose_bound_is_larger_than_its_memory(tmp_path):
    x = torch.randn(2, 5, 10)
    assert export(Shifted(), tmp_path / "model.pte", x, ({0: "B", 1: "S", 2: "2*S"},), measure=False).accepted


def test_state_begins_as_it_is_in_the_model_and_is_kept(tmp_path):
    class Counts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.full((3,), 7.0))
            self.register_buffer("total", torch.zeros(2, 3))

        def forward(self, x):
            self.calls.add_(1)
            self.total.copy_(self.total * 0.5 + x)
            return x * self.calls + self.total

    module, x = Counts(), torch.randn(2, 3)
    flat, example = read_example(copy.deepcopy(module), x, ({},))
    write_executorch(flat, example, tmp_path / "model.pte", Options())
    for _ in range(2):
        run, fresh = load_executorch(tmp_path / "model.pte"), copy.deepcopy(module)
        for _ in range(3):
            torch.testing.assert_close(run(example)[0], fresh(x))


def convolutions() -> torch.nn.Module:
    """A convolution whose codes go on, and one whose numbers are pooled first."""
    nn = torch.nn
    first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, stride=2)
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *pooled, nn.Linear(12, 5)).eval()


def perceptron() -> torch.nn.Module:
    nn = torch.nn
    return nn.Sequential(nn.Linear(20, 33), nn.ReLU(), nn.Linear(33, 17), nn.GELU(), nn.Linear(17, 5)).eval()


STATIC = [Rule("", weight="int8", act="int8", static=True)]


@pytest.mark.parametrize(
    ("recipe", "integer_products"),
    [
        pytest.param({"rules": STATIC}, True, id="static"),
        pytest.param({"target": "int8"}, False, id="dynamic", marks=pytest.mark.slow),
        pytest.param({"target": "int8-weight"}, False, id="weights"),
        pytest.param({"target": "int4"}, False, id="int4", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("build", [perceptron, pytest.param(convolutions, marks=pytest.mark.slow)])
def test_a_quantized_model_answers_as_it_does_here(tmp_path, build, recipe, integer_products):
    torch.manual_seed(0)
    x = torch.randn(6, 20) if build is perceptron else torch.randn(6, 3, 9, 9)
    model = build()
    result = tessera.quantize(model, calibration_data=x, measure=None, **recipe)
    report = export(result, tmp_path / "model.pte", x, ({0: "B"},), measure=False)
    assert report.accepted
    assert any("quantized_ops_lib" in note for note in report.notes)
    dequantized = report.operators["quantized_decomposed::dequantize_per_channel"]
    assert dequantized == 3 - integer_products  # weights; of the first layer's, static, XNNPACK takes the codes
    run = load_executorch(report.path)
    for batch in (1, 4, 15):
        fresh = torch.randn(batch, *x.shape[1:])
        here, there = result(fresh).detach(), run(Example((fresh,), (), ()))[0]
        assert (there - here).abs().mean() < 1e-3 * here.abs().mean()
        assert (there - model(fresh)).abs().mean() > 1e-3 * here.abs().mean()


def test_the_codes_are_what_is_in_the_file(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Linear(256, 256, bias=False)
    for target, bits in (("int8-weight", 8), ("int4", 4)):
        result = tessera.quantize(model, target=target, measure=None)
        report = export(result, tmp_path / "model.pte", torch.randn(1, 256), ({},), measure=False)
        assert report.size < 1.25 * 256 * 256 * bits / 8 + 12_000


def test_an_operator_without_a_kernel(tmp_path):
    class Unknown(torch.nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    with pytest.raises(ExportError) as error:
        export(Unknown(), tmp_path / "model.pte", torch.ones(2, 2), ({},))
    assert error.value.received == (
        "Unknown could not be written for ExecuTorch: no operator of it for aten.special_bessel_j0."
    )
    assert error.value.where.code == "return torch.special.bessel_j0(x)"
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_target(tmp_path):
    with pytest.raises(ExportError) as error:
        export(torch.nn.Linear(2, 2), tmp_path / "model.pte", torch.ones(2, 2), target="gpu")
    assert str(error.value) == (
        "target='gpu' was passed for an ExecuTorch file. Its kernels are those of one of xnnpack, portable. "
        "Write target='xnnpack', or leave it out."
    )


def test_a_damaged_file(tmp_path):
    (tmp_path / "model.pte").write_bytes(b"no program")
    with pytest.raises(ExportError, match="The runtime did not take this"):
        load_executorch(tmp_path / "model.pte")
