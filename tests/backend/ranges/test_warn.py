"""Warnings at the user's line, once."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
import torch.nn.functional as F

import tessera
from tessera.backend.passes.stabilise import STABILISE
from tessera.backend.ranges.warn import check_call, raise_errors, warn, warned_about
from tessera.backend.runner import run_before_autograd
from tessera.errors import NumericsError, NumericsWarning
from tests.backend.attention.captures import capture
from tests.backend.ranges.asking import X


def log_of_relu(x):
    return x.relu().log()


def test_a_warning_points_at_the_line_and_comes_once():
    found = tessera.check_numerics(log_of_relu, X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warn(found)
        warn(found)
    (one,) = caught
    assert one.category is NumericsWarning
    assert (one.filename, one.lineno) == (found[0].where.file, found[0].where.line)
    assert str(one.message) == f"domain: {found[0].message}"


def test_a_filter_that_makes_errors_of_warnings_stops_nothing(caplog):
    with caplog.at_level(logging.WARNING, logger="tessera"):
        warn(tessera.check_numerics(log_of_relu, X))
    assert "domain" in caplog.text


def test_only_functions_that_check_raise():
    raise_errors(tessera.check_numerics(log_of_relu, X), "f")
    found = tessera.check_numerics(lambda x: tessera.log(x.relu()), X)
    with pytest.raises(NumericsError, match=r"In 'f': log of a relu") as caught:
        raise_errors(found, "f")
    assert caught.value.where == found[0].where


def test_a_call_is_checked_before_it_is_made():
    def risky(x):
        y = x * 1e10
        return tessera.exp(y)

    with (
        pytest.warns(NumericsWarning, match="Values of unknown size are multiplied by 1e"),
        pytest.raises(NumericsError, match=r"exp of values .* larger than 88.7 \(float32\).*Write tessera.stable"),
    ):
        check_call(risky, "risky", (X,), {})
    check_call(risky, "risky", (X,), {}, {"x": (0.0, 1e-9)})


@pytest.mark.parametrize(
    ("module", "said"),
    [(torch.nn.Softmax(-1), True), (torch.nn.LogSoftmax(-1), False)],
    ids=["softmax", "log softmax"],
)
def test_a_capture_is_warned_about_at_the_line(module, said):
    captured = []

    def backend(graph_module, inputs):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            captured.append((warned_about(graph_module, inputs), caught))
        return graph_module.forward

    layer = torch.nn.Linear(8, 8)

    def loss(x):
        return module(layer(x)).abs().log().mean()

    torch.compile(loss, backend=backend, dynamic=True)(X)
    ((lines, caught),) = captured
    if said:
        (line,), (one,) = lines, caught
        assert line.startswith("domain at ")
        assert "return module(layer(x)).abs().log().mean()" in line
        assert one.filename == __file__
    else:
        assert (lines, list(caught)) == ([], [])


def test_a_capture_that_cannot_be_looked_at_has_no_lines():
    assert warned_about(torch.fx.GraphModule({}, torch.fx.Graph()), [object()]) == []


def test_beside_what_was_made_stable_another_hazard_is_told():
    def stable(x, y):
        return torch.log(torch.softmax(x, -1)) + torch.exp(x) / (1 + torch.exp(x).sum(-1, keepdim=True)) + y

    def hazardous(x, y):
        return torch.log(torch.softmax(x, -1)) + torch.log(torch.relu(y))

    for function, wanted in ((stable, []), (hazardous, ["domain"])):
        captured = capture(function, X, X)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run_before_autograd(captured, [STABILISE])
        assert any(note.startswith("stabilised") for note in captured.notes)
        assert [str(one.message).partition(":")[0] for one in caught] == wanted


class _Codes(torch.nn.Module):
    """Layers after each other whose weights are codes and a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randint(0, 16, (64, 64), dtype=torch.uint8))
        self.register_buffer("scale", torch.full((64, 1), 0.01))

    def forward(self, x):
        weight = ((self.codes & 15).float() - 8) * self.scale
        for _ in range(12):
            x = x + F.silu(x @ weight.T) * (x @ weight.T)
        return x.square().mean()


def test_a_weight_of_codes_and_a_scale_is_of_the_size_of_weights(recwarn):
    with torch.inference_mode():
        tessera.compile(_Codes(), mode="inference")(torch.rand(4, 64))
    assert [str(each.message) for each in recwarn] == []
