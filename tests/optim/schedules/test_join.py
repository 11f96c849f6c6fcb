import torch

from tessera.optim import constant, cosine_decay, join, linear
from tests.optim.schedules.closed_form import assert_is, assert_refused, torchs


def test_values():
    def formula(t):
        return t / 5 if t < 5 else 1.0 if t < 9 else 1.0 - min((t - 9) / 10, 1)

    assert_is(join([linear(0.0, 1.0, 5), constant(1.0), linear(1.0, 0.0, 10)], [5, 9]), formula)


def test_torchs_values():
    def warm_up_and_cosine(optimizer):
        first = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 5)
        second = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [first, second], [5])

    rates = torchs(warm_up_and_cosine, 0.5, 25)
    assert_is(join([linear(0.05, 0.5, 5), cosine_decay(0.5, 20)], [5]), lambda t: rates[t], tolerance=1e-12)


def test_a_function_of_the_user_is_a_schedule_too():
    schedule = join([lambda _: 0.25, lambda step: 1 / (1 + step)], [3])
    values = schedule(torch.arange(6, dtype=torch.float64))
    torch.testing.assert_close(values, torch.tensor([0.25, 0.25, 0.25, 1, 1 / 2, 1 / 3], dtype=torch.float64))


def test_bad_values_are_refused():
    assert_refused(
        lambda: join([constant(1.0), constant(2.0)], [5, 3]),
        "2 schedules and boundaries=[5, 3] were passed. There is one boundary between each schedule and the next, and "
        "boundaries rise. Write for example join([linear(0.0, 1e-3, 100), cosine_decay(1e-3, 900)], [100]).",
    )
    assert_refused(
        lambda: join([0.1, constant(2.0)], [5]),
        "schedules[0]=0.1 was passed. schedules[0] is a schedule: a function of the step. "
        "Write for example schedules[0]=constant(0.1).",
    )
