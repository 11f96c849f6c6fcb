import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, linear, scale_by_adafactor


@pytest.mark.parametrize("shape", [(), (4,), (3, 5), (2, 3, 5)])
def test_it_is_the_equation(shape):
    lr, decay, eps1, eps2, d, wd = 0.3, -0.6, 1e-3, 1e-2, 1.5, 0.1
    param = torch.randn(shape, dtype=torch.float64)
    tx = scale_by_adafactor(lr, decay, (eps1, eps2), d, wd)
    states = [tx.init(param)]
    moment = torch.zeros_like(param)
    rows = columns = 0.0
    for t in range(1, 8):
        grad = torch.randn(shape, dtype=torch.float64) * 10.0 ** (t % 3 - 2)
        (update,), states = tx.update([grad], states, [param])
        keep = 1 - t**decay
        if len(shape) > 1:
            rows = keep * rows + (1 - keep) * grad.square().mean(-1, keepdim=True)
            columns = keep * columns + (1 - keep) * grad.square().mean(-2, keepdim=True)
            moment = rows * columns / rows.mean(-2, keepdim=True).clamp(min=eps1)
        else:
            moment = keep * moment + (1 - keep) * grad.square()
        scaled = grad / moment.sqrt().clamp(min=eps1)
        alpha = max(eps2, param.square().mean().sqrt().item()) * min(lr, t**-0.5)
        expected = -alpha * scaled / max(1.0, scaled.square().mean().sqrt().item() / d) - lr * wd * param
        torch.testing.assert_close(update, expected, rtol=1e-11, atol=1e-14)


def test_a_schedule_bounds_the_relative_step():
    param = nn.Parameter(torch.ones(2, 2, dtype=torch.float64))
    optimizer = Optimizer([param], scale_by_adafactor(linear(0.1, 0.0, 2)))
    values = []
    for _ in range(4):
        optimizer.step(param.sum())
        values.append(param[0, 0].item())
    assert values == pytest.approx([0.9, 0.9 - 0.05 * 0.9, 0.855, 0.855])


def test_an_empty_parameter_stays_empty():
    param = nn.Parameter(torch.zeros(0, 3))
    Optimizer([param], scale_by_adafactor(0.1)).step(param.sum() + torch.zeros((), requires_grad=True))
    assert param.shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta2_decay": 0.1}, "beta2_decay=0.1 was passed. beta2_decay is a finite number of at most 0, or a 0-d"),
        ({"eps": 1e-3}, "eps=0.001 was passed. eps is a pair"),
        ({"eps": (-1.0, 1e-3)}, "eps[0]=-1.0 was passed."),
        ({"d": 0.5}, "d=0.5 was passed. d is a finite number of at least 1, or a 0-d tensor."),
    ],
)
def test_bad_numbers_are_refused(arguments, message):
    with pytest.raises(OptimizerError) as caught:
        scale_by_adafactor(**arguments)
    assert str(caught.value).startswith(message)


def test_complex_parameters_are_refused():
    with pytest.raises(OptimizerError, match=r"^A complex parameter of shape \[2\] was passed to Adafactor\."):
        scale_by_adafactor().init(torch.zeros(2, dtype=torch.complex64))
