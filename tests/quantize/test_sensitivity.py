"""Layers left out: the fewest of the most sensitive, and the budget is kept."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.errors import QuantizeError
from tessera.quantize.sensitivity import too_sensitive

COSTS = {"a": 0.1, "b": 5.0, "c": 0.2, "d": 3.0, "e": 0.0}


def found(budget):
    return too_sensitive(list, list(COSTS), lambda paths: 10 - sum(COSTS[path] for path in paths), 10.0, budget)


@pytest.mark.parametrize(
    ("budget", "left_out"), [(9, ""), (8.3, ""), (4, "b"), (0.3, "bd"), (0.15, "bdc"), (0.0, "bdca")]
)
def test_the_fewest_of_the_most_sensitive_are_left_out(budget, left_out):
    assert sorted(found(budget + 1e-9)) == sorted(left_out)


def test_a_metric_that_is_nan_keeps_no_budget():
    with pytest.raises(QuantizeError, match="the least sensitive layer"):
        too_sensitive(list, ["a", "b"], lambda _: float("nan"), 1.0, 1e9)


def test_the_layer_that_hurts_is_named():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 4)).eval()
    with torch.no_grad():
        model[0].weight[:, 0] = 1e4  # an outlier in every row: the others round to nothing
        model[0].bias.zero_()
    x = torch.randn(50, 8)
    x[:, 0] = 0
    exact = model(x).detach()

    def metric(made):
        return -((made(x) - exact).norm() / exact.norm()).item()

    result = tessera.quantize(model, target="int8-weight", metric=metric, max_metric_drop=0.1)
    assert list(result.report.left_alone) == ["0"]
    assert "of the metric" in result.report.left_alone["0"]
    assert result.report.metric[1] >= -0.1


def test_a_budget_needs_a_metric():
    with pytest.raises(QuantizeError, match="without a metric"):
        tessera.quantize(torch.nn.Linear(4, 4), max_metric_drop=0.5)
