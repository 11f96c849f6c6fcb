from __future__ import annotations

import pytest
import torch

from tessera.capture.loss_scale import LossScale, Scaling
from tessera.capture.training_job import StepOptions, TrainingJob
from tessera.errors import ResumeError
from tessera.program import Report


def job(*, accumulate=4, scaling=None, width=2):
    module = torch.nn.Linear(width, 1)
    return TrainingJob("step", module, [], StepOptions(accumulate=accumulate), Report("step"), scaling)


def test_state_goes_to_another_job():
    one, other = job(scaling=Scaling(LossScale(), in_force=True)), job(scaling=Scaling(LossScale(), in_force=False))
    one.micro_step = 2
    one.accumulators[one.module.weight] = torch.randn(1, 2)
    one.scaling.follow(torch.tensor(False))
    other.accumulators[other.module.bias] = torch.ones(1)
    other.load_state_dict(one.state_dict())
    assert other.micro_step == 2
    ((parameter, total),) = other.accumulators.items()
    assert parameter is other.module.weight
    assert torch.equal(total, one.accumulators[one.module.weight])
    total.zero_()
    assert one.accumulators[one.module.weight].all()  # a copy
    assert other.scales.scale == 32768.0
    assert other.scales.skipped == 1


def test_a_state_holds_tensors_only_and_no_scale_that_is_not_in_force():
    state = job(scaling=Scaling(LossScale(), in_force=False)).state_dict()
    assert state == {"micro_step": torch.tensor(0), "sums": {}}


def test_automatic_scaling_comes_into_force_once_and_scales_the_sums():
    one = job(scaling=Scaling(LossScale(8.0), in_force=False))
    one.accumulators[one.module.bias] = torch.ones(1)
    assert one.waits_for_float16
    assert one.scales is None
    for _ in range(2):
        one.meet_float16()
        assert not one.waits_for_float16
        assert one.scales is one.scaling
        assert one.accumulators[one.module.bias] == 8.0


def test_without_a_scale_float16_is_nothing_to_wait_for():
    one = job()
    assert not one.waits_for_float16
    one.meet_float16()
    assert one.scales is None
    assert not one.forgives


@pytest.mark.parametrize(("rule", "forgives"), [(LossScale(), True), (LossScale(8.0, 1.0, 1.0), False)])
def test_a_dynamic_scale_forgives(rule, forgives):
    assert job(scaling=Scaling(rule, in_force=True)).forgives is forgives
    assert not job(scaling=Scaling(rule, in_force=False)).forgives


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"micro_step": torch.tensor(4)}, "had taken 4 micro-batches.*of every 4.*at least 5"),
        ({"micro_step": torch.tensor(-1)}, "had taken -1"),
        ({"sums": {"weight": torch.ones(1, 3)}}, r"for weight of shape \[1, 3\].*has shape \[1, 2\]"),
        ({"sums": {"other": torch.ones(1)}}, "for other.*no such parameter"),
        (
            {"loss_scale": Scaling(LossScale(), in_force=True).state_dict()},
            "by 65536.*loss_scale=None.*Write loss_scale",
        ),
    ],
)
def test_a_state_of_something_else_changes_nothing(change, words):
    one = job()
    before = one.state_dict()
    with pytest.raises(ResumeError, match=words):
        one.load_state_dict(before | {"micro_step": torch.tensor(1)} | change)
    assert one.state_dict() == before
