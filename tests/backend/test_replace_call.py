"""A call in a graph replaced by other tensor code."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from tessera.backend.replace_call import replace_call

aten = torch.ops.aten


def test_the_result_and_the_users_line_are_kept():
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(torch.zeros(2, 3)), mode.from_tensor(torch.zeros(3, 4))]
        module = make_fx(lambda a, b: aten.mm.default(a, b) + 1)(*fakes)
    (product,) = module.graph.find_nodes(op="call_function", target=aten.mm.default)
    product.meta["stack_trace"] = 'File "model.py", line 7'
    replace_call(module, product, lambda a, b: (a.unsqueeze(2) * b).sum(1))
    module.recompile()
    assert not module.graph.find_nodes(op="call_function", target=aten.mm.default)
    (multiply,) = module.graph.find_nodes(op="call_function", target=aten.mul.Tensor)
    assert multiply.meta["stack_trace"] == 'File "model.py", line 7'
    assert multiply.meta["val"].shape == (2, 3, 4)
    a, b = torch.randn(2, 3), torch.randn(3, 4)
    torch.testing.assert_close(module(a, b), a @ b + 1)


def test_keyword_arguments_reach_the_replacement():
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(torch.zeros(4)), mode.from_tensor(torch.zeros(4))]
        module = make_fx(lambda a, b: aten.add.Tensor(a, b, alpha=3))(*fakes)
    (add,) = module.graph.find_nodes(op="call_function", target=aten.add.Tensor)
    replace_call(module, add, lambda a, b, alpha=1: a - b * -alpha)
    module.recompile()
    a, b = torch.randn(4), torch.randn(4)
    torch.testing.assert_close(module(a, b), a + 3 * b)


def test_several_results_go_to_those_who_took_them():
    with FakeTensorMode() as mode:
        fake = mode.from_tensor(torch.zeros(3, 4))
        module = make_fx(lambda a: torch.var_mean(a, 1)[::-1])(fake)
    (both,) = module.graph.find_nodes(op="call_function", target=aten.var_mean.correction)
    replace_call(module, both, lambda a, dim, correction: (a.sum(dim), a.sum(dim) * (correction + 1)))
    module.recompile()
    a = torch.randn(3, 4)
    doubled, once = module(a)
    torch.testing.assert_close((once, doubled), (a.sum(1), 2 * a.sum(1)))
