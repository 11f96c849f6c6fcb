import pytest
import torch
from torch import nn

from tessera.errors import OptimizerError
from tessera.optim import Optimizer, scale_by_soap


def rotated(value, dims, bases, *, back=False):
    for dim, basis in zip(dims, bases, strict=True):
        value = torch.tensordot(value, basis.T if back else basis, dims=[[dim], [0]]).movedim(-1, dim)
    return value


SETTINGS = [
    {},
    {"precondition_frequency": 3, "weight_decay": 0.1},
    {"shampoo_beta": 0.5, "precondition_frequency": 2},
    {"normalize_grads": True, "correct_bias": False},
    {"max_precond_dim": 2, "precondition_frequency": 1},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(), (5,), (4, 4), (3, 2, 2, 3)])
def test_it_is_the_authors_algorithm(shape, settings):
    """Written out as in their code, where the moments leave the bases and come back at every step.

    No shape has a side longer than the rest: the gradient of such a one leaves a null space, whose basis is any.
    """
    lr, (beta1, beta2), eps = 0.05, (0.9, 0.8), 1e-8
    setting = {"precondition_frequency": 10, "weight_decay": 0.01, "max_precond_dim": 10000, **settings}
    beta = setting.get("shampoo_beta", beta2)
    param = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    optimizer = Optimizer([param], scale_by_soap(lr, (beta1, beta2), eps=eps, **settings))
    dims = [dim for dim, size in enumerate(shape) if len(shape) > 1 and size <= setting["max_precond_dim"]]
    value = param.detach().clone()
    grams = [torch.zeros(shape[dim], shape[dim], dtype=torch.float64) for dim in dims]
    bases, mean, square = None, torch.zeros_like(value), torch.zeros_like(value)
    for step in range(25):
        param.grad = grad = torch.randn(shape, dtype=torch.float64)
        optimizer.step()
        if step:
            turned = rotated(grad, dims, bases)
            mean = beta1 * mean + (1 - beta1) * turned
            square = beta2 * square + (1 - beta2) * turned**2
            size = lr * (1 - beta2**step) ** 0.5 / (1 - beta1**step) if settings.get("correct_bias", True) else lr
            way = rotated(mean / (square.sqrt() + eps), dims, bases, back=True)
            if settings.get("normalize_grads"):
                way = way / (1e-30 + way.square().mean().sqrt())
            value = (value - size * way) * (1 - lr * setting["weight_decay"])
            mean = rotated(mean, dims, bases, back=True)
        for index, dim in enumerate(dims):
            rows = grad.movedim(dim, 0).reshape(shape[dim], -1)
            grams[index] = beta * grams[index] + (1 - beta) * rows @ rows.T
        if bases is None:
            bases = [torch.linalg.eigh(gram)[1].flip(1) for gram in grams]
        elif step % setting["precondition_frequency"] == 0:
            for index, dim in enumerate(dims):
                order = torch.argsort((bases[index].T @ grams[index] @ bases[index]).diag(), descending=True)
                square = square.index_select(dim, order)
                bases[index] = torch.linalg.qr(grams[index] @ bases[index][:, order])[0]
        if step:
            mean = rotated(mean, dims, bases)
        torch.testing.assert_close(param.detach(), value, rtol=1e-10, atol=1e-11)


def test_a_vector_may_have_a_basis():
    param = nn.Parameter(torch.randn(5))
    for asked, names in ((False, set()), (True, {"gram_0", "basis_0"})):
        assert set(scale_by_soap(precondition_1d=asked).init(param)) == {"step", "exp_avg", "exp_avg_sq"} | names


def test_bases_stay_orthogonal_in_low_precision_too():
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        param = nn.Parameter(torch.randn(6, 4).to(dtype))
        optimizer = Optimizer([param], scale_by_soap(0.01, precondition_frequency=1))
        for _ in range(10):
            optimizer.step((param * torch.randn(6, 4).to(dtype)).sum())
        for dim in (0, 1):
            basis = optimizer.state[param][f"basis_{dim}"]
            assert basis.dtype == dtype
            product = basis.float().T @ basis.float()
            torch.testing.assert_close(product, torch.eye(len(basis)), rtol=0, atol=tolerance)


def test_an_empty_parameter_stays_empty():
    param = nn.Parameter(torch.zeros(0, 3))
    optimizer = Optimizer([param], scale_by_soap(0.1))
    for _ in range(2):
        optimizer.step(param.sum() + torch.zeros((), requires_grad=True))
    assert param.shape == (0, 3)


@pytest.mark.parametrize(
    "arguments", [{"betas": (1.0, 0.9)}, {"shampoo_beta": 1.0}, {"eps": -1.0}, {"precondition_frequency": 0}]
)
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(OptimizerError):
        scale_by_soap(**arguments)


@pytest.mark.parametrize("param", [torch.zeros(2, dtype=torch.complex64), torch.zeros(1, 1, 1, 1, 1, 1, 1)])
def test_what_it_cannot_train_is_refused(param):
    with pytest.raises(OptimizerError, match=r"^A parameter of shape .* was passed to SOAP\."):
        scale_by_soap().init(param)
