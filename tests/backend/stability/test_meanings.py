import pytest
import torch

from tests.backend.stability.readings import read, shown

X, Y = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x, y: torch.log(1 + x), lambda x, y: x.log1p()),
        (lambda x, y: x.exp().sub_(1), lambda x, y: torch.expm1(x)),
        (lambda x, y: x.sum(-1).unsqueeze(1) * y, lambda x, y: y * torch.sum(x, dim=1, keepdim=True)),
        (lambda x, y: x.sum(1)[:, None] - y, lambda x, y: x.sum(1, keepdim=True).sub(y)),
        (lambda x, y: x.sum(0) * y, lambda x, y: x.sum(0, keepdim=True) * y),
        (lambda x, y: x.sum() / 12, lambda x, y: x.mean()),
        (lambda x, y: x.sum(1) / x.shape[1], lambda x, y: torch.mean(x, 1)),
        (lambda x, y: torch.dot(x[0], y[1]), lambda x, y: (x[0] * y[1]).sum()),
        (lambda x, y: x.exp().mT.contiguous(), lambda x, y: x.mT.exp()),
        (lambda x, y: x.max(1).values, lambda x, y: torch.amax(x, 1)),
        (lambda x, y: torch.addcmul(x, x, y, value=2), lambda x, y: x + 2 * y * x),
        (lambda x, y: y.masked_fill(x > 0, 1.0), lambda x, y: torch.where(x > 0, 1.0, y)),
        (lambda x, y: torch.exp2(x), lambda x, y: 2.0**x),
    ],
)
def test_spellings_are_read_alike(one, other):
    assert shown(read(one, X, Y)[0]) == shown(read(other, X, Y)[0])
