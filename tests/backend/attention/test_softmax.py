import pytest
import torch
from torch.nn import functional as F

from tessera.backend.attention.softmax import find_softmax
from tests.backend.attention.captures import traced

X = torch.rand(3, 4)


def written(x, dim=-1):
    e = torch.exp(x - x.max(dim, keepdim=True).values)
    return e / e.sum(dim, keepdim=True)


def found(function):
    trace = traced(function, X)
    return [softmax for node in trace.graph.nodes if node in trace.live and (softmax := find_softmax(node))]


@pytest.mark.parametrize(
    "spelling",
    [
        lambda x: F.softmax(x, 0),
        lambda x: x.softmax(-2),
        lambda x: torch.exp(torch.log_softmax(x, 0)),
        lambda x: written(x, 0),
        lambda x: (e := x.exp()) / e.sum(0, keepdim=True),
        lambda x: (e := (x - x.amax(0, True).detach()).exp()) / e.sum(dim=0, keepdim=True),
    ],
)
def test_a_softmax_is_found_however_it_is_written(spelling):
    (softmax,) = found(spelling)
    assert softmax.scores.op == "placeholder"
    assert softmax.dim == 0
    assert softmax.inside[-1] is softmax.result


@pytest.mark.parametrize(
    "near",
    [
        lambda x: (e := x.exp()) / e.sum(),  # over all of it
        lambda x: (e := x.exp()) / e.sum(0, keepdim=True).sqrt(),
        lambda x: (e := x.exp()) / (1 + e.sum(0, keepdim=True)),
        lambda x: x.exp() / x.sum(0, keepdim=True),
        lambda x: F.log_softmax(x, 0),
        lambda x: (x - torch.logsumexp(x, 0, keepdim=True)).exp(),  # rounds away where all is masked
    ],
)
def test_what_is_nearly_a_softmax_is_none(near):
    assert found(near) == []


def test_the_maximum_of_something_else_is_not_taken_away():
    (softmax,) = found(lambda x: (e := (x - x.amax(1, True)).exp()) / e.sum(0, keepdim=True))
    assert softmax.scores.op == "call_function"  # the difference itself
