import math

import pytest
import torch
from torch.nn import functional as F

from tessera.backend.stability.bounds import UNIT, bounds
from tests.backend.attention.captures import capture

X, Y = torch.randn(3, 4), torch.randn(5, 4)


def of_result(function):
    """The bounds of what ``function`` returns."""
    graph = capture(function, X, Y).graph_module.graph
    (result,) = graph.output_node().all_input_nodes
    return bounds(result)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).T,
        lambda x, y: x / x.norm(dim=-1, keepdim=True),
        lambda x, y: F.cosine_similarity(x, y[:3]),
        lambda x, y: torch.einsum("id,jd->ij", F.normalize(x, dim=1), F.normalize(y, dim=1)),
        lambda x, y: (x / torch.linalg.norm(x, dim=1, keepdim=True)) @ F.normalize(y.T, dim=0),
        lambda x, y: torch.bmm(F.normalize(x[None], dim=2), F.normalize(y[None], dim=2).transpose(1, 2)),
        lambda x, y: torch.cat([F.normalize(x), F.normalize(y)]).view(-1),
    ],
    ids=["cosines", "directions", "cosine_similarity", "einsum", "by hand", "batches", "elements"],
)
def test_directions_and_their_products_are_bounded(function):
    assert of_result(function) == UNIT


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: F.normalize(x, dim=-1) @ y.T,
        lambda x, y: x / y.norm(dim=-1).sum(),
        lambda x, y: F.normalize(x, dim=-1) / 0.1,
        lambda x, y: x,
        lambda x, y: F.normalize(x, dim=0) @ F.normalize(y, dim=0).T,
        lambda x, y: F.normalize(x, p=1.0, dim=1) @ F.normalize(y, p=math.inf, dim=1).T,
        lambda x, y: torch.einsum("id,ie->de", F.normalize(x), F.normalize(x)),
        lambda x, y: torch.cat([F.normalize(x)] * 9, 1) @ torch.cat([F.normalize(y)] * 9, 1).T,
        lambda x, y: (x / x.norm(p=1, dim=1, keepdim=True)) @ (y / y.norm(p=1, dim=1, keepdim=True)).T,
    ],
    ids=[
        "one alone",
        "length of another",
        "scaled",
        "given",
        "columns",
        "other lengths",
        "sums over rows",
        "side by side",
        "sums of sizes",
    ],
)
def test_nothing_is_known_of_others(function):
    assert of_result(function) is None
