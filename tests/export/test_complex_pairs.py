from __future__ import annotations

import pytest
import torch

from tessera.export.asked import read_example
from tessera.export.complex_pairs import has_complex, in_real_numbers
from tessera.export.export import export
from tessera.export.traced import line_of_node, traced

DIMS = {"x": {0: "B", 1: torch.export.Dim("S", min=4, max=64)}}


class Calls(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = torch.nn.Parameter(torch.randn(6, dtype=torch.cfloat))
        self.matrix = torch.nn.Parameter(torch.randn(6, 3, dtype=torch.cfloat))

    def forward(self, x):
        return self.function(self, x)


def _filtered(self, x):
    spectrum = torch.fft.rfft(x, dim=1)
    kept = torch.zeros_like(spectrum)
    kept[:, :2] = spectrum[:, :2] * self.weight
    return torch.fft.irfft(kept, n=x.shape[1], dim=1)


def _turned(self, x):
    pairs = torch.view_as_complex(x.unflatten(-1, (3, 2)).contiguous())
    place = torch.outer(torch.arange(x.shape[1]), torch.tensor([1.0, 0.1, 0.01]))
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(place), place)).flatten(-2)


CALLS = {
    "filtered": _filtered,
    "turned": _turned,
    "mixed": lambda self, x: torch.fft.fft2(x).real,
    "there and back": lambda self, x: torch.fft.ifft(torch.fft.fft(x, dim=1, norm="ortho"), dim=1, norm="forward").real,
    "real in two dimensions": lambda self, x: torch.fft.irfft2(torch.fft.rfft2(x, norm="ortho") * 2j, s=x.shape[1:]),
    "product": lambda self, x: (x.to(torch.cfloat) @ self.matrix).abs(),
    "sum of products": lambda self, x: torch.einsum("bsd,dk->bsk", torch.fft.fft(x), self.matrix).imag,
    "arithmetic": lambda self, x: ((torch.complex(x, x + 1) - 1) / (self.weight + 3) + torch.exp(1j * x)).abs(),
    "chosen": lambda self, x: torch.where(x > 0, torch.complex(x, x.cos()), 0.5).abs(),
    "angle": lambda self, x: torch.angle(torch.complex(x, x.cos()).conj()),
    "parts": lambda self, x: torch.cat(
        [torch.fft.rfft(x, dim=1).sum(1).real, torch.fft.rfft(x).sum((1, 2)).imag[:, None]], 1
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_in_real_numbers_the_answers_are_the_same(name):
    torch.manual_seed(0)
    module = Calls(CALLS[name])
    flat, example = read_example(module, torch.randn(2, 8, 6), DIMS)
    before = traced(flat, example)
    program = in_real_numbers(before, example)
    assert (has_complex(before), has_complex(program)) == (True, False)
    assert not [value for value in program.state_dict.values() if value.is_complex()]
    for batch, length in ((1, 4), (3, 7), (2, 64)):
        x = torch.randn(batch, length, 6)
        torch.testing.assert_close(program.module()(x)[0], module(x), rtol=1e-4, atol=1e-4)


def test_a_node_still_knows_its_line():
    flat, example = read_example(Calls(_turned), torch.randn(2, 8, 6), DIMS)
    before = traced(flat, example)
    of_model, of_pairs = (
        {line_of_node(node) for node in each.graph.nodes if node.op == "call_function"} - {None}
        for each in (before, in_real_numbers(before, example))
    )
    assert of_model == of_pairs
    assert of_model


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: x * 2,
        lambda self, x: torch.fft.rfft(x),
        lambda self, x: torch.linalg.eigvals(x[:, :1, :1]).abs(),
        lambda self, x: torch.fft.rfft(x.repeat(1, 1, 1000)).abs(),
    ],
    ids=["none", "a complex answer", "an unknown operator", "a transform too long"],
)
def test_what_is_left_as_it_is(function):
    flat, example = read_example(Calls(function), torch.randn(2, 8, 6), DIMS)
    program = traced(flat, example)
    assert in_real_numbers(program, example) is program


@pytest.mark.filterwarnings("ignore")  # ExecuTorch's own
@pytest.mark.parametrize("ending", [".onnx", pytest.param(".pte", marks=pytest.mark.slow)])
def test_a_file_of_complex_products(tmp_path, ending):
    pytest.importorskip("onnxruntime" if ending == ".onnx" else "executorch.exir")
    module = Calls(lambda self, x: _filtered(self, x) + CALLS["sum of products"](self, x).sum(-1, keepdim=True))
    assert export(module, tmp_path / f"m{ending}", torch.randn(2, 8, 6), DIMS, measure=False).accepted


UNKNOWN = {
    "product of all before": lambda self, x: torch.complex(x, x + 1).cumprod(-1).abs(),
    "transform": lambda self, x: torch.fft.irfft(torch.fft.rfft(x, dim=1) - 1.0, n=x.shape[1], dim=1),
    "complex answer": lambda self, x: 1.0 - torch.fft.fft(x, dim=1),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_the_runtime_has_stays_complex(name):
    flat, example = read_example(Calls(UNKNOWN[name]), torch.randn(2, 8, 6), DIMS)
    before = traced(flat, example)
    program = in_real_numbers(before, example, but_for={"_fft_r2c", "_fft_c2r", "_fft_c2c"})
    assert program is not before
    complex_ones = [node for node in program.graph.nodes if node.op == "call_function" and _is_complex_sum(node)]
    assert complex_ones == []
    x = torch.randn(3, 9, 6)
    torch.testing.assert_close(program.module()(x), before.module()(x))


class Sums(torch.nn.Module):
    """Keeps a complex sum of all that it was given."""

    def __init__(self):
        super().__init__()
        self.register_buffer("sum", torch.zeros(6, dtype=torch.cfloat))

    def forward(self, x):
        self.sum.add_(torch.complex(x, x.cos()).sum((0, 1)))
        return self.sum.abs() + x


def test_a_complex_buffer_that_changes_stays_one():
    before = traced(*read_example(Sums(), torch.randn(2, 8, 6), DIMS))
    assert in_real_numbers(before, read_example(Sums(), torch.randn(2, 8, 6), DIMS)[1], but_for=()) is before


def _is_complex_sum(node):
    """What Inductor's C++ calls torch for with a number where it has to pass a tensor."""
    value = node.meta.get("val")
    return (
        isinstance(value, torch.Tensor)
        and value.is_complex()
        and str(node.target).startswith(("aten.sub", "aten.rsub", "aten.add"))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arithmetic", *UNKNOWN])
def test_a_compiled_package_of_complex_numbers(tmp_path, name):
    module = Calls({**CALLS, **UNKNOWN}[name])
    assert export(module, tmp_path / "m.pt2", torch.randn(2, 8, 6), DIMS, measure=False).accepted
