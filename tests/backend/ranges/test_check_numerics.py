"""Programs with a bug are warned about at its line, and correct ones that look like them are not."""

from __future__ import annotations

import pytest
import torch

import tessera
from tessera.errors import SettingError
from tests.backend.ranges.asking import HALF, X, kinds
from tests.backend.ranges.later import BROKEN, RIGHT
from tests.backend.ranges.stable import STABLE
from tests.backend.ranges.stable_models import MODELS
from tests.backend.ranges.unstable import UNSTABLE


@pytest.mark.parametrize("case", [*UNSTABLE, *BROKEN], ids=lambda case: case.name)
def test_a_bug_is_found_at_its_line(case):
    found = tessera.check_numerics(case.function, *case.inputs(), ranges=case.ranges)
    assert {(finding.where.line, finding.kind) for finding in found} == set(case.bugs())
    assert all(finding.where.file == case.function.__code__.co_filename for finding in found)


@pytest.mark.parametrize("case", [*STABLE, *MODELS, *RIGHT], ids=lambda case: case.name)
def test_a_correct_program_has_no_finding(case):
    assert tessera.check_numerics(case.function, *case.inputs(), ranges=case.ranges) == []


def test_a_finding_says_what_is_known_what_follows_and_what_to_write():
    def loss(x):
        return torch.log(torch.softmax(x, -1))

    (finding,) = tessera.check_numerics(loss, X)
    assert str(finding.kind) == "domain"
    assert finding.severity == "warning"
    assert finding.message == (
        "log of a softmax, between 0 and 1: 0 is reached. The result is -inf there, and its gradient NaN."
        " Write torch.log_softmax(x, dim=-1)."
    )
    assert finding.where.code == "return torch.log(torch.softmax(x, -1))"
    assert str(finding).endswith(f"at {finding.where}")


def test_a_module_is_checked_with_its_parameters():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(8, 8)
            self.register_buffer("scale", torch.zeros(8))

        def forward(self, x):
            y = self.layer(x)
            return torch.sqrt(y) / self.scale

    assert kinds(Net(), X) == ["domain", "division by zero"]


def test_both_ways_of_a_branch_are_looked_at():
    def f(x):
        if x.sum() > 0:
            return x.sigmoid().log()
        return x / x.norm()

    assert sorted(kinds(f, X)) == ["division by zero", "domain"]


def test_keywords_and_nested_arguments():
    def f(batch, *, scale):
        return (batch["x"][0] / scale["y"]).exp()

    found = tessera.check_numerics(f, {"x": [X]}, scale={"y": X}, ranges={"scale": (0.0, 1.0)})
    assert [str(finding.kind) for finding in found] == ["division by zero"]


@pytest.mark.parametrize(
    "ranges",
    [{"x": (1.0, 0.0)}, {"x": 3.0}, {"x": (0.0,)}, {"z": (0.0, 1.0)}, {1: (0.0, 1.0)}, {"x": (float("nan"), 1.0)}],
    ids=str,
)
def test_a_range_that_makes_no_sense_is_refused(ranges):
    with pytest.raises(SettingError, match=r"Write .*"):
        tessera.check_numerics(lambda x: x, X, ranges=ranges)


@pytest.mark.parametrize(
    "function",
    [lambda x: x[: int(x.sum())], lambda x: [x.tolist()], lambda x: x.numpy(), lambda x: 1 / 0, lambda x: None],
    ids=["size", "list", "numpy", "raises", "none"],
)
def test_what_cannot_be_traced_has_no_findings_and_raises_nothing(function):
    assert tessera.check_numerics(function, X) == []


def test_a_function_of_tessera_that_checks_is_an_error():
    def risky(x):
        y = x * 1e10
        return tessera.exp(y)

    scaled, raised = tessera.check_numerics(risky, X)
    assert (str(scaled.kind), scaled.severity) == ("overflow", "warning")
    assert (str(raised.kind), raised.severity) == ("overflow", "error")
    assert "larger than 88.7 (float32)" in raised.message
    assert raised.stable == "tessera.stable_exp(x)"
    assert raised.where.code == "return tessera.exp(y)"
    assert kinds(lambda x: tessera.stable_exp(x.tanh() * 1e5), HALF) == ["overflow"]  # the product, not the exp


def test_a_gradient_taken_inside_is_not_the_users_line():
    def penalty(x):
        x = x.requires_grad_()
        y = (x.norm(dim=1) + (x.abs() + 1.0).log().sum(1)).sum()
        (gradient,) = torch.autograd.grad(y, x, create_graph=True)
        return ((gradient.norm(dim=1) - 1) ** 2).mean()

    assert kinds(penalty, X) == []
