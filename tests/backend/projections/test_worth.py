from dataclasses import replace

import pytest
import torch

from tessera.backend.projections import worth as module
from tessera.backend.projections.worth import Problem, Verdict, predicted, verdict_on
from tessera.backend.targets.absent import Properties
from tessera.backend.targets.device import find_device

ROWS, INNER = 128, 96


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "SMALLEST", 1 << 18)


def layout(rows, columns):
    return (rows, columns), (columns, 1)


LEFT = Problem(
    "left",
    (layout(ROWS, INNER),),
    (layout(INNER, 64), layout(INNER, 32)),
    False,
    True,
    True,
    torch.float32,
    torch.device("cpu"),
)
RIGHT = replace(LEFT, kind="right", left=(layout(64, INNER), layout(96, INNER)), right=(layout(INNER, 50),))
SUM = replace(LEFT, kind="sum", left=(layout(ROWS, INNER),) * 3, right=(((INNER, 64), (1, INNER)),) * 3)


@pytest.mark.parametrize(
    ("problem", "whole", "text"),
    [
        (LEFT, (ROWS, INNER, 96), "2 products of one left operand, [128, 96] x [96, 64|32] in float32"),
        (RIGHT, (160, INNER, 50), "2 products of one right operand, [64|96, 96] x [96, 50] in float32"),
        (SUM, (ROWS, 3 * INNER, 64), "3 products that are added, [128, 96|96|96] x [96|96|96, 64] in float32"),
    ],
    ids=["left", "right", "sum"],
)
def test_a_problem_knows_its_sizes_and_both_ways_are_measured(problem, whole, text):
    assert problem.whole == whole
    assert str(problem) == text
    measured = module._Measured(problem)
    measured.one()
    measured.apart()
    left, right = measured._whole
    torch.testing.assert_close(measured._result, left @ right)
    for (rows, inner, columns), result in zip(problem.shapes, measured._results, strict=True):
        assert torch.equal(result, torch.full((rows, columns), 0.25 * inner))


def test_what_is_measured_counts_and_is_remembered(monkeypatch):
    calls = []

    def seconds(name, ways, device):
        calls.append(name)
        return {"one": 1.0, "apart": 2.0}

    monkeypatch.setattr(module, "seconds_of", seconds)
    assert verdict_on(LEFT) == Verdict(1.0, 2.0, "measured")
    assert verdict_on(LEFT).pays
    verdict_on(replace(LEFT, joins_right=False))
    assert len(set(calls)) == 2  # what is copied is another problem


def test_what_cannot_be_measured_is_predicted(monkeypatch):
    monkeypatch.setattr(module, "seconds_of", lambda *_: None)
    assert verdict_on(LEFT).known == "predicted"
    monkeypatch.setattr(module, "seconds_of", None)  # whoever measured would fall over it
    monkeypatch.setattr(module, "LARGEST", 1)
    assert verdict_on(LEFT).known == "predicted"


def test_tiny_products_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(module, "SMALLEST", 1 << 22)
    assert verdict_on(LEFT) is None


def test_a_little_is_not_enough():
    assert not Verdict(0.96, 1.0, "measured").pays
    assert Verdict(0.94, 1.0, "measured").pays
    assert str(Verdict(1e-3, 2e-3, "measured")) == "1 ms as one, 2 ms apart (measured)"


@pytest.fixture
def h200(monkeypatch):
    device = find_device("h200")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: device.title)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties(device))


def test_for_a_gpu_that_is_not_here_arithmetic_decides(h200):
    cuda = torch.device("cuda", 0)
    small = replace(LEFT, device=cuda, dtype=torch.bfloat16, joins_right=False, copies_results=False)
    verdict = verdict_on(small)
    assert verdict.known == "predicted"
    assert verdict.pays  # two launches become one
    assert not predicted(replace(small, joins_right=True)).pays  # and are two again with that of the copy
    large = replace(small, left=(layout(16384, 4096),), right=(layout(4096, 4096),) * 3)
    assert not verdict_on(large).pays  # all of the device is busy either way


def test_of_an_unknown_gpu_nothing_is_said(h200, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU of next year")
    assert verdict_on(replace(LEFT, device=torch.device("cuda", 0))) is None
