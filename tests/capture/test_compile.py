from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import tessera
from tessera.capture.compile import plain_module


def test_a_compiled_module_is_the_module_in_all_but_its_call():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
    fast = tessera.compile(net)
    assert isinstance(fast, torch.nn.Sequential)
    assert plain_module(fast) is net
    assert plain_module(net) is net
    assert list(fast.state_dict()) == list(net.state_dict())
    assert fast[0].weight is net[0].weight
    x = torch.randn(2, 3)
    torch.testing.assert_close(fast(x), net(x))
    assert fast.report.rung == "one graph"
    net[0].weight.data.zero_()
    torch.testing.assert_close(fast(x), net(x))
    fast.eval()
    assert not net.training


def test_a_copy_has_weights_and_a_report_of_its_own():
    fast = tessera.compile(torch.nn.Linear(3, 2))
    again = copy.deepcopy(fast)
    again.weight.data.zero_()
    assert fast.weight.abs().sum() > 0
    assert again.report is not fast.report
    assert plain_module(again) is not plain_module(fast)
    assert plain_module(again).weight is again.weight


def test_inference_records_no_gradients():
    weight = torch.randn(3, requires_grad=True)

    @tessera.compile(mode="inference")
    def predict(x):
        """Doc."""
        return (x * weight).tanh()

    x = torch.randn(3)
    result = predict(x)
    assert not result.requires_grad
    torch.testing.assert_close(result, (x * weight).tanh().detach())
    assert (predict.__name__, predict.__doc__) == ("predict", "Doc.")
    assert torch.is_grad_enabled()


def test_what_breaks_the_graph_is_named():
    @tessera.compile
    def branching(x):
        while x.sum() > 0:
            x = x - 2
        return x

    x = torch.ones(3)
    assert torch.equal(branching(x), x - 2)
    assert torch.equal(branching(-x), -x)
    (named,) = branching.report.step_downs
    assert (named.where.file, named.where.code) == (__file__, "while x.sum() > 0:")
    assert "Dynamo does not support tracing dynamic control flow" in named.reason


def test_a_call_that_raises_is_in_the_report_too():
    @tessera.compile
    def refusing(x):
        raise ValueError("no")

    assert refusing.report.rung == "not run yet"
    with pytest.raises(ValueError, match="no"):
        refusing(torch.ones(3))
    assert refusing.report.rung == "eager"


def test_tensors_without_data_go_through_plain_pytorch():
    fast = tessera.compile(torch.nn.Linear(3, 2))
    with FakeTensorMode():
        fake = torch.nn.Linear(3, 2)
        x = torch.ones(4, 3)
        for function in (tessera.compile(fake), tessera.compile(lambda x: x.sin())):
            assert function(x).shape == function(x).shape == ((4, 2) if function.report.subject == "Linear" else (4, 3))
            (reason,) = function.report.step_downs
            assert "FakeTensor" in reason.reason
    x = torch.ones(4, 3)
    torch.testing.assert_close(fast(x), plain_module(fast)(x))
    assert fast.report.rung == "one graph"


FIRST_COMPILATION = """
import warnings
warnings.simplefilter("error")
import torch, tessera
double = tessera.compile(lambda x: x * 2)
assert torch.equal(double(torch.ones(3)), torch.full((3,), 2.0))
assert double.report.rung == "one graph", double.report
"""


def test_the_first_compilation_warns_of_nothing():
    run = subprocess.run([sys.executable, "-c", FIRST_COMPILATION], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr


def test_an_unknown_mode():
    with pytest.raises(ValueError, match="mode='fast' was passed.*'default', .* or 'inference', .* Write "):
        tessera.compile(torch.sin, mode="fast")


def test_numpys_random_numbers_are_those_of_eager():
    def noisy(x):
        return x + torch.from_numpy(np.random.rand(3))  # noqa: NPY002

    compiled, x = tessera.compile(noisy), torch.zeros(3, dtype=torch.float64)
    np.random.seed(5)  # noqa: NPY002
    expected = [noisy(x) for _ in range(3)]
    np.random.seed(5)  # noqa: NPY002
    found = [compiled(x) for _ in range(3)]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_parameters_made_by_the_first_call_are_no_part_of_what_is_compiled():
    net, x = tessera.function(lambda x: tessera.nn.linear(x, 2)), torch.randn(3, 4)
    lazy = torch.nn.LazyLinear(2)
    for module in (net, lazy):
        compiled = tessera.compile(module)
        first = compiled(x)
        torch.testing.assert_close(compiled(x), first)
        assert compiled.report.rung == "one graph"
        assert len(compiled.report.compilations) == 1


def test_what_plain_pytorch_does_where_the_compiler_fails_is_done_once():
    array = np.zeros(3, dtype=np.float32)
    total, drawn = torch.from_numpy(array), []

    def function(x):
        total.add_(x)
        drawn.append(torch.rand(1))
        return x * float(array[0])

    torch.manual_seed(3)
    assert torch.equal(tessera.compile(function)(torch.ones(3)), torch.ones(3))
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.stack([*drawn, after]), torch.rand(2, 1))
