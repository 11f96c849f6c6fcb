import pytest
import torch

from tessera.backend.stability.shrinking import in_small, shrunk_sizes
from tests.backend.attention.captures import capture

X = torch.randn(8, 30, 64)


def shrunk(function, *, to):
    """The result of a function's one operation for an input of other sizes."""
    captured = capture(function, X)
    (node,) = [node for node in captured.graph_module.graph.nodes if node.op.startswith("call_")]
    small = torch.arange(float(torch.Size(to).numel())).reshape(to)
    sizes = {before: now for before, now in zip(X.shape, to, strict=True) if before != now}
    args = in_small(node, tuple(small if arg in node.all_input_nodes else arg for arg in node.args), sizes)
    if isinstance(args, torch.Tensor):
        return args
    return getattr(args[0], node.target)(*args[1:]) if node.op == "call_method" else node.target(*args)


def test_sizes_keep_what_they_are_to_each_other():
    assert shrunk_sizes([3, 64, 32, 128, 7], 4) == {7: 4, 32: 4, 64: 8, 128: 16}
    assert shrunk_sizes([30, 31, 4], 4) == {30: 4, 31: 5}
    assert shrunk_sizes([3, 1], 4) == {}


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x.view(8, 30, 4, 16), (4, 4, 1, 4)),
        (lambda x: x.reshape(240, 64), (16, 4)),
        (lambda x: x.reshape(8, -1), (4, 16)),
        (lambda x: x.flatten(), (64,)),
        (lambda x: x[:, :, 32:], (4, 4, 2)),
        (lambda x: x[..., 1:], (4, 4, 3)),
        (lambda x: x[:, 29], (4, 4)),
        (lambda x: x[7:, None, 10:11], (1, 1, 1, 4)),
    ],
    ids=["parted", "merged", "open", "flat", "half", "rest", "last", "one"],
)
def test_what_shows_a_tensor_otherwise_does_so_in_small(function, shape):
    assert shrunk(function, to=(4, 4, 4)).shape == shape


def test_a_count_is_the_count_of_fewer():
    assert torch.equal(shrunk(lambda x: x / 64, to=(4, 4, 4)), torch.arange(64.0).reshape(4, 4, 4) / 4)
    assert torch.equal(shrunk(lambda x: 0.5 * x, to=(4, 4, 4)), torch.arange(64.0).reshape(4, 4, 4) * 0.5)


def test_what_is_not_shrunk_stays():
    assert shrunk(lambda x: x.view(8, 30, 4, 16), to=(8, 30, 64)).shape == (8, 30, 4, 16)
