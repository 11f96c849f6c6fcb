import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import orthogonalise


@pytest.mark.parametrize("shape", [(8, 8), (4, 16), (16, 4), (1, 5)])
def test_singular_values_become_about_one(shape):
    param = torch.zeros(shape)
    tx = orthogonalise(momentum=0.0, nesterov=False)
    (update,), _ = tx.update([torch.randn(shape)], [tx.init(param)], [param])
    values = torch.linalg.svdvals(update) / max(1, shape[0] / shape[1]) ** 0.5
    assert ((values > 0.5) & (values < 1.4)).all()


def test_an_empty_matrix_and_a_zero_one_stay():
    for param in (torch.zeros(0, 3), torch.zeros(3, 0), torch.zeros(2, 2)):
        tx = orthogonalise()
        (update,), _ = tx.update([torch.zeros_like(param)], [tx.init(param)], [param])
        assert torch.equal(update, param)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": -0.1}, "momentum=-0.1 was passed."),
        ({"ns_coefficients": (1.0, 2.0)}, "ns_coefficients=(1.0, 2.0) was passed. ns_coefficients is three numbers"),
        ({"ns_steps": 100}, "ns_steps=100 was passed. ns_steps is a whole number from 0 to 99."),
        ({"ns_steps": 2.0}, "ns_steps=2.0 was passed."),
        ({"adjust_lr_fn": "adamw"}, "adjust_lr_fn='adamw' was passed."),
    ],
)
def test_bad_numbers_are_refused(arguments, message):
    with pytest.raises(OptimizerError) as caught:
        orthogonalise(**arguments)
    assert str(caught.value).startswith(message)


def test_what_is_no_matrix_is_refused():
    with pytest.raises(OptimizerError, match=r"^A parameter of shape \[3\] and torch.float32 was passed to Muon\."):
        orthogonalise().init(torch.zeros(3))
