import pytest
import torch
import torch.nn.functional as F

from tessera.backend.rows.region import find_region, wide_products
from tessera.backend.rows.rules import SUMMED
from tests.backend.hand_made import aten, program

X, W, TARGET = torch.randn(24, 4), torch.randn(4, 50), torch.randint(50, (24,))


def region_of(function, *inputs):
    made = program(function, *inputs)
    (product, *_) = wide_products(made.graph, 1, 4)
    return made, find_region(product, {node: at for at, node in enumerate(made.graph.nodes)})


def gradients(x, w, target):
    """Cross-entropy of logits with its gradients, in the operations that a step is decomposed into."""
    logits, target = x @ w, target.unsqueeze(1)
    normaliser = logits.logsumexp(1, keepdim=True)
    loss = (normaliser - logits.gather(1, target)).mean()
    grad = ((logits - normaliser).exp() - torch.full((24, 50), 0.0).scatter(1, target, 1.0)) / 24
    return loss, grad @ w.t(), x.t() @ grad


def test_the_logits_and_what_is_made_of_them_are_inside():
    made, region = region_of(gradients, X, W, TARGET)
    assert region.rows == 24
    assert {node for node, _ in region.operands} <= set(made.graph.nodes) - set(region.placed)
    wide = [n for n in made.graph.nodes if n.op == "call_function" and n.meta["val"].numel() >= 600]
    assert set(wide) <= set(region.placed)
    assert [n.meta["val"].shape for n in region.results if region.placed[n].lead == SUMMED] == [(4, 50)]
    assert all(n.meta["val"].numel() < 600 for n in region.results)


def test_what_is_small_waits_outside():
    _, region = region_of(lambda x, w: ((x @ w).exp().sum(1).log().square().sum(),), X, W)
    assert [node.target for node in region.placed] == [aten.mm.default, aten.exp.default, aten.sum.dim_IntList]


def waits_for_a_sum(x, w):
    logits = x @ w
    return ((logits / logits.square().sum()).exp().sum(),)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: (x @ w,),
        lambda x, w: ((x @ w).t().exp().sum(),),
        waits_for_a_sum,
        lambda x, w: (F.dropout(x @ w).exp().sum(),),
        lambda x, w: ((x @ w).flip(0).exp().sum(),),
        lambda x, w: ((x @ w).unsqueeze(0).transpose(0, 2).exp().amax(),),
    ],
    ids=["returned", "another layout", "waits for a sum", "random", "rows change places", "another order"],
)
def test_what_cannot_be_in_chunks_is_left_whole(function):
    assert region_of(function, X, W)[1] is None


def test_only_a_wide_product_of_a_narrow_input_begins_a_region():
    made = program(lambda x, w: ((x @ w).sum(), (w.t() @ x.t()).sum(), (w.t() @ w).sum()), X, W)
    assert [n.meta["val"].shape for n in wide_products(made.graph, 1, 4)] == [(50, 50), (24, 50), (50, 24)]
    assert wide_products(made.graph, 24 * 50 * 4 + 1, 4)[0].meta["val"].shape == (50, 50)
    assert wide_products(made.graph, 1, 20) == []
