"""A function with layers is the module that one would have written out."""

from __future__ import annotations

import copy
import inspect
import pickle
import random
import threading

import pytest
import torch

import tessera
from tessera.errors import LayerError, OptimizerError


@tessera.function
def classify(x):
    """Two layers and a head."""
    for _ in range(2):
        x = tessera.nn.linear(
            x,
            8,
        ).relu()
    return tessera.nn.Linear(8, 3)(tessera.dropout(x, 0.25))


class Classify(torch.nn.Module):
    """What `classify` is, written out."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(5, 8)
        self.linear_1 = torch.nn.Linear(8, 8)
        self.linear_2 = torch.nn.Linear(8, 3)

    def forward(self, x):
        x = self.linear_1(self.linear(x).relu()).relu()
        return self.linear_2(tessera.dropout(x, 0.25, self.training))


@pytest.fixture
def net():
    """`classify` before its first call."""
    return tessera.function(classify._body.function)


@pytest.fixture
def x():
    return torch.randn(6, 5)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first, second):
    return list(first) == list(second) and all(map(torch.equal, first.values(), second.values()))


def seeded(call, *args):
    torch.manual_seed(1)
    return call(*args)


def test_it_is_the_module_written_out(net, x):
    torch.manual_seed(0)
    twin = Classify()
    torch.manual_seed(0)
    net.eval()(x)
    net.train()
    assert same(net.state_dict(), twin.state_dict())
    ours, theirs = seeded(net, x), seeded(twin, x)
    assert torch.equal(ours, theirs)
    ours, theirs = (torch.autograd.grad(y.square().sum(), m.parameters()) for y, m in ((ours, net), (theirs, twin)))
    assert all(map(torch.equal, ours, theirs))
    assert torch.equal(net.eval()(x), twin.eval()(x))
    twin.load_state_dict(net.state_dict())


def test_layers_are_made_once(net, x):
    net(x)
    before = list(net.parameters())
    net(x)
    assert [id(p) for p in net.parameters()] == [id(p) for p in before]


def test_it_looks_like_the_function(net):
    assert net.__name__ == "classify"
    assert net.__doc__ == "Two layers and a head."
    assert list(inspect.signature(net).parameters) == ["x"]
    assert repr(net).startswith("classify(")


@pytest.mark.parametrize("seed", range(6))
def test_random_stacks_of_layers(seed):
    rng = random.Random(seed)
    plan = [(rng.choice(["linear", "layer_norm", "batch_norm", "rms_norm"]), rng.randint(1, 9)) for _ in range(6)]

    @tessera.function
    def stack(x):
        for kind, size in plan:
            x = tessera.nn.linear(x, size) if kind == "linear" else getattr(tessera.nn, kind)(x)
        return x

    kinds = {"layer_norm": torch.nn.LayerNorm, "batch_norm": torch.nn.BatchNorm1d, "rms_norm": torch.nn.RMSNorm}
    x, layers, width = torch.randn(7, 4), [], 4
    torch.manual_seed(seed)
    for kind, size in plan:
        layers.append(torch.nn.Linear(width, size) if kind == "linear" else kinds[kind](width))
        width = size if kind == "linear" else width
    twin = torch.nn.Sequential(*layers)
    torch.manual_seed(seed)
    for _ in range(3):
        assert torch.equal(stack(x), twin(x))
    assert all(map(torch.equal, stack.state_dict().values(), twin.state_dict().values()))
    assert torch.equal(stack.eval()(x), twin.eval()(x))


# -- other layers than in the first call ---------------------------------------------------------------------------


@tessera.function
def changing(x, sizes, other=False, name=None):
    for size in sizes:
        x = tessera.nn.linear(x, size)
    if other:
        return tessera.nn.linear(x, 2, name=name)
    return tessera.nn.linear(x, 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([4, 4, 4],), "linear(4, 4, True)"),
        (([4],), "linear(4, 2, True)"),
        (([4, 5],), "linear(4, 5, True)"),
        (([4, 4], True), "test_function.py"),
        (([4, 4], True, "head"), "'head'"),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_another_structure_is_refused(arguments, says, compiled):
    net, x = tessera.function(changing._body.function), torch.randn(2, 3)
    expected, before = net(x, [4, 4]), weights(net)
    call = torch.compile(net, backend="eager") if compiled else net
    # Captured piece by piece, with gradients torch warns of its own look at .grad.
    with torch.no_grad(), pytest.raises(LayerError, match="This call of the function 'changing'") as raised:
        call(x, *arguments)
    assert says in str(raised.value)
    assert same(net.state_dict(), before)
    assert torch.equal(net(x, [4, 4]), expected)


def test_fewer_layers_are_refused(x):
    deep = True

    @tessera.function
    def net(x):
        x = tessera.nn.linear(x, 4)
        return tessera.nn.linear(x, 4) if deep else x

    net(x)
    deep = False
    with pytest.raises(LayerError, match="asks for 1 layers; it has 'linear_1'"):
        net(x)


def test_a_captured_layer_is_held_against_its_line(x):
    """The layer alone is captured, from below the line that asks for it."""
    layer, other = torch.compile(tessera.nn.linear, backend="eager"), False

    @tessera.function
    def net(x):
        if other:
            return layer(x, 4)
        return layer(x, 4)

    with torch.no_grad():
        expected = net(x)
        assert torch.equal(net(x), expected)
        other = True
        with pytest.raises(LayerError, match="This call of the function 'net' asks for linear at .*test_function.py"):
            net(x)


def test_an_error_in_the_first_call_leaves_nothing_behind(x):
    broken = True

    @tessera.function
    def net(x):
        x = tessera.nn.linear(x, 4)
        if broken:
            raise ValueError("broken")
        return x

    with pytest.raises(ValueError, match="broken"):
        net(x)
    broken = False
    assert net(x).shape == (6, 4)
    assert list(net.state_dict()) == ["linear.weight", "linear.bias"]
    with pytest.raises(LayerError, match="outside of a tessera.function"):
        tessera.nn.linear(x, 4)


def test_one_that_calls_itself_is_refused(x):
    @tessera.function
    def net(x, depth=2):
        x = tessera.nn.linear(x, 5)
        return net(x, depth - 1) if depth else x

    with pytest.raises(LayerError, match="calls itself"):
        net(x)


# -- functions in functions, modules from elsewhere -------------------------------------------------------------------


def test_a_function_in_a_function_belongs_to_it_and_is_shared(x):
    @tessera.function
    def block(x):
        return tessera.nn.linear(x, 5)

    @tessera.function
    def net(x):
        return tessera.nn.linear(block(block(x)), 2)

    assert net(x).shape == (6, 2)
    assert [*net.state_dict()] == [
        "block.linear.weight", "block.linear.bias", "linear.weight", "linear.bias",
    ]  # fmt: skip
    assert torch.equal(net(x), net.linear(block.linear(block.linear(x))))
    net.eval()
    assert not block.training


def test_a_module_from_elsewhere_belongs_to_it(x):
    encoder = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh())

    @tessera.function
    def net(x):
        return tessera.nn.linear(encoder(x), 2)

    net(x)
    assert [*net.state_dict()] == [
        "sequential.0.weight", "sequential.0.bias", "linear.weight", "linear.bias",
    ]  # fmt: skip
    assert net.sequential is encoder


def test_in_a_model(x):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = tessera.function(classify._body.function)

        def forward(self, x):
            return self.net(x)

    model = Model()
    with pytest.raises(OptimizerError, match="has not been called yet"):
        torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(OptimizerError, match="has not been called yet"):
        tessera.optim.Adam(model)
    model(x)
    other = Model()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval()(x), model.eval()(x))


# -- state -------------------------------------------------------------------------------------------------------------


def test_a_state_dict_waits_for_the_layers(net, x):
    other = tessera.function(net._body.function)
    expected = net.eval()(x)
    assert not other.load_state_dict(net.state_dict()).missing_keys
    assert same(other.state_dict(), net.state_dict())
    assert torch.equal(other.eval()(x), expected)
    assert same(other.state_dict(), net.state_dict())


@pytest.mark.parametrize("change", ["missing", "left over", "another size"])
def test_a_state_dict_that_does_not_fit_is_refused(net, x, change):
    net(x)
    state = weights(net)
    if change == "missing":
        del state["linear_1.bias"]
    elif change == "left over":
        state["linear_7.bias"] = torch.zeros(3)
    else:
        state["linear.weight"] = torch.zeros(8, 4)
    other = tessera.function(net._body.function)
    other.load_state_dict(state)
    with pytest.raises((LayerError, RuntimeError), match="linear"):
        other(x)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.eval()(x), net.eval()(x))


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("again", [copy.deepcopy, copy.copy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_and_pickles(again, called, x):
    net = tessera.function(classify._body.function)
    if called:
        net(x)
    twin = again(net)
    torch.manual_seed(0)
    expected = net.eval()(x)
    torch.manual_seed(0)
    if called or again is not copy.copy:
        assert torch.equal(twin.eval()(x), expected)
        assert torch.equal(twin(x), expected)


def test_to_before_the_first_call(net, x):
    net.to(torch.float64)
    assert net(x.double()).dtype == torch.float64
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    net.float()
    assert net(x).dtype == torch.float32


def test_the_dtype_is_that_of_the_input(net, x):
    assert net(x.bfloat16()[:, :5].float()).dtype == torch.float32
    other = tessera.function(lambda x: tessera.nn.linear(x, 2))
    assert other(x.bfloat16()).dtype == torch.bfloat16
    mixed = tessera.function(lambda x: tessera.nn.linear(tessera.nn.linear(x, 2), 2))
    with torch.autocast("cpu", torch.bfloat16):
        mixed(x)
    assert {p.dtype for p in mixed.parameters()} == {torch.float32}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_parameters_can_be_trained_whatever_the_mode_of_the_first_call(net, x, mode):
    with mode():
        net(x)
    net(x).sum().backward()
    assert all(p.requires_grad and p.grad is not None for p in net.parameters())


def test_a_first_call_without_data_is_refused(net, x):
    with pytest.raises(LayerError, match="hold no data"):
        net(x.to("meta"))
    with torch._subclasses.FakeTensorMode() as fake, pytest.raises(LayerError, match="hold no data"):
        net(fake.from_tensor(x))
    assert net(x).shape == (6, 3)


def test_threads_share_the_layers_and_not_the_calls(x):
    net = tessera.function(classify._body.function).eval()
    answers = []
    threads = [threading.Thread(target=lambda: answers.extend(net(x) for _ in range(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 80
    assert all(torch.equal(answer, net(x)) for answer in answers)


@pytest.mark.parametrize("given", [torch.nn.Linear, torch.nn.ReLU(), 3], ids=str)
def test_what_is_no_function_is_refused(given):
    with pytest.raises(LayerError, match="@tessera.function was put on"):
        tessera.function(given)


# -- captured ----------------------------------------------------------------------------------------------------------


def test_captured_it_is_one_graph_once(net, x):
    graphs = []
    net(x)
    fast = torch.compile(net, fullgraph=True, backend=lambda graph, _: graphs.append(graph) or graph)
    for _ in range(3):
        assert torch.equal(seeded(fast, x), seeded(net, x))
    assert len(graphs) == 1
    assert torch.equal(fast.eval()(x), net(x))


def test_captured_in_pieces_the_lines_are_known(x):
    @tessera.function
    def net(x):
        torch._dynamo.graph_break()
        x = tessera.nn.linear(x, 4)
        torch._dynamo.graph_break()
        return tessera.nn.linear(x, 2)

    with torch.no_grad():
        expected = net(x)
        for _ in range(2):
            assert torch.equal(torch.compile(net, backend="eager")(x), expected)


def test_a_whole_training_step(net, x):
    net(x)
    twin = Classify()
    twin.load_state_dict(net.state_dict())
    labels = torch.randint(0, 3, (6,))
    steps = [
        tessera.train_step(m, "cross_entropy", torch.optim.SGD(m.parameters(), lr=0.1), check_finite=True)
        for m in (net, twin)
    ]
    for _ in range(3):
        ours, theirs = (seeded(step, x, labels) for step in steps)
        torch.testing.assert_close(ours, theirs)
    assert steps[0].report.rung == "whole step in one Program"
    assert len(steps[0].report.compilations) == 1
    # What ran is put back after the graph; that counts as no side effect, so such steps can be looped over.
    assert all(step._whole.pure(*step._arguments((x, labels), {})) for step in steps)
    torch.testing.assert_close(net.state_dict(), twin.state_dict())


def test_exported(net, x):
    expected = net.eval()(x)
    program = torch.export.export(net, (x,))
    torch.testing.assert_close(program.module()(x), expected)
    assert set(program.state_dict) == set(net.state_dict())


def test_function_transforms(net, x):
    net.eval()(x)
    state = dict(net.named_parameters())
    vectorised = torch.vmap(lambda row: torch.func.functional_call(net, state, (row,)))(x)
    torch.testing.assert_close(vectorised, net(x))
