import pytest
import torch

from tessera.optim.eigenbasis import refreshed


def gram(size):
    rows = torch.randn(size, 2 * size, dtype=torch.float64)
    return rows @ rows.T


@pytest.fixture
def given():
    grams = [gram(3), gram(4)]
    bases = [torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0] for n in (3, 4)]
    return torch.randn(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64), [0, 1], grams, bases


def call(given, *, due, begun):
    return refreshed(*given, torch.tensor(due), torch.tensor(begun))


def test_what_is_not_due_stays_and_is_new_memory(given):
    mean, moment, _, _, bases = given
    results = call(given, due=False, begun=True)
    for old, new in zip((mean, moment, *bases), results, strict=True):
        assert torch.equal(old, new)
        assert old.data_ptr() != new.data_ptr()


def test_at_the_beginning_they_are_the_eigenvectors(given):
    grams = given[3]
    for due in (True, False):
        _, _, *bases = call(given, due=due, begun=False)
        for matrix, basis in zip(grams, bases, strict=True):
            turned = basis.T @ matrix @ basis
            torch.testing.assert_close(turned, turned.diag().diag(), rtol=0, atol=1e-10)
            assert torch.equal(turned.diag().argsort(descending=True), torch.arange(len(basis)))


def test_the_mean_is_the_same_gradient_in_the_new_bases(given):
    mean, _, _, _, (left, right) = given
    new_mean, _, new_left, new_right = call(given, due=True, begun=True)
    torch.testing.assert_close(new_left @ new_mean @ new_right.T, left @ mean @ right.T, rtol=1e-12, atol=1e-12)


def test_it_comes_to_the_eigenvectors_when_repeated(given):
    mean, moment, dims, grams, bases = given
    for _ in range(300):
        mean, moment, *bases = call((mean, moment, dims, grams, bases), due=True, begun=True)
    for matrix, basis in zip(grams, bases, strict=True):
        turned = basis.T @ matrix @ basis
        torch.testing.assert_close(turned, turned.diag().diag(), rtol=0, atol=1e-6)


def test_nothing_to_turn_is_nothing_to_do():
    mean, moment = torch.randn(3), torch.rand(3)
    results = refreshed(mean, moment, [], [], [], torch.tensor(True), torch.tensor(True))
    assert results[0] is mean
    assert results[1] is moment


def test_the_operator_is_traceable():
    given = torch.randn(2, 2), torch.rand(2, 2), [0], [torch.eye(2)], [torch.eye(2)]
    arguments = (*given, torch.tensor(True), torch.tensor(True))
    torch.library.opcheck(torch.ops.tessera.refresh_bases.default, arguments, test_utils="test_faketensor")
