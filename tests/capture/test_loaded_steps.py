"""Which Program of several takes a call, and what none of them takes."""

from __future__ import annotations

import pytest
import torch

from tessera.errors import ArtefactError
from tests.capture.saved_steps import Case, accuracy

TINY = Case(
    model=lambda: torch.nn.Linear(4, 3),
    optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1),
    options={"metrics": {"accuracy": accuracy}},
)
X, Y = torch.randn(8, 4), torch.arange(8) % 3


@pytest.fixture
def path(tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "metric.tessera"
    if not path.exists():
        _, _, step = TINY.step()
        step(X, Y)
        step.save(path)
    return path


def test_a_call_between_two_bindings(path):
    model, optimizer, step = TINY.loaded(path)
    first = step(X, Y)
    model.weight.data = model.weight.data.clone()  # the same parameter, other memory
    second = step(X, Y)
    assert second < first
    model.weight = torch.nn.Parameter(model.weight.detach().clone())
    with pytest.raises(ArtefactError, match="is not there|another one|parameters of group 0"):
        step(X, Y)
    optimizer.param_groups[0]["params"] = list(model.parameters())
    assert step(X, Y) < second


def test_gradients_off_and_on(path):
    _, _, step = TINY.loaded(path)
    with torch.no_grad():
        assert step(X, Y).requires_grad is False
    with torch.autocast("cpu"), pytest.raises(ArtefactError, match="autocast_state was"):
        step(X, Y)
    step(X, Y)


def test_metrics_are_those_that_were_saved(path):
    _, _, step = TINY.loaded(path)
    step(X, Y)
    assert list(step.metrics) == ["accuracy"]
    assert 0 <= step.metrics["accuracy"] <= 1


def test_what_is_ready_and_what_is_forgotten(path):
    _, _, step = TINY.loaded(path)
    step(X, Y)
    assert step._whole.captured
    assert step._whole.pure(*step._arguments((X, Y), {})) is not None
    step._whole.forget()
    assert not step._whole.captured
    assert step._whole.pure(*step._arguments((X, Y), {})) is None
