from __future__ import annotations

import abc
import copy
import inspect
import pickle
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch.nn import Linear

import tessera.nn
from tessera.errors import BatchError, LayerError
from tessera.nn.model import Model, model
from tessera.nn.prediction import Prediction
from tessera.optim import SGD

X = torch.randn(5, 4)


@model
class Net:
    """A little net."""

    kinds = ("a", "b")

    def __init__(self, width=3):
        self.width = width
        self.first = Linear(4, width)
        self.register_buffer("shift", torch.ones(width))

    def forward(self, x, scale=None):
        x = self.first(x) + self.shift
        return x if scale is None else x * scale

    @classmethod
    def wide(cls):
        return cls(width=7)

    @staticmethod
    def help():
        return "help"

    @property
    def twice(self):
        return 2 * self.width


class Plain(torch.nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.first = Linear(4, width)
        self.register_buffer("shift", torch.ones(width))

    def forward(self, x):
        return self.first(x) + self.shift


def test_it_is_a_module_of_the_same_name():
    net = Net()
    assert isinstance(net, (Net, tessera.nn.Module, torch.nn.Module))
    assert (Net.__name__, Net.__qualname__, Net.__module__, Net.__doc__) == ("Net", "Net", __name__, "A little net.")
    assert list(inspect.signature(Net).parameters) == ["width"]
    assert repr(net) == "Net(\n  (first): Linear(in_features=4, out_features=3, bias=True)\n)"
    assert list(net.state_dict()) == list(Plain().state_dict())
    assert (Net.wide().width, Net.help(), Net.kinds, net.twice) == (7, "help", ("a", "b"), 6)
    with pytest.raises(TypeError, match="unexpected keyword"):
        Net(wdith=3)


def test_state_outputs_and_gradients_are_those_of_the_plain_module():
    net, plain = Net(), Plain()
    plain.load_state_dict(net.state_dict())
    target = torch.tensor([0, 1, 2, 0, 1])
    F.cross_entropy(net(X), target).backward()
    F.cross_entropy(plain(X), target).backward()
    assert torch.equal(net(X), plain(X))
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(net.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), copy.copy])
def test_it_can_be_copied(duplicate):
    net = Net.wide()
    twin = duplicate(net)
    assert type(twin) is Net
    assert torch.equal(twin.eval()(X), net.eval()(X))
    assert (twin.first is net.first) == (duplicate is copy.copy)


def base(name):
    """A class to decorate, by what it inherits and whether it calls `super().__init__()`."""

    class Inherits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = Linear(4, 3)

        def forward(self, x):
            return self.first(x)

    class Forgets(tessera.nn.Module):
        def __init__(self):
            self.first = Linear(4, 3)

        forward = Inherits.forward

    class Late:
        def __init__(self):
            self.first = Linear(4, 3)
            super().__init__()

        forward = Inherits.forward

    class Parent:
        def __init__(self, out):
            super().__init__()
            self.first = Linear(4, out)

    class Child(Parent):
        def __init__(self):
            super().__init__(3)

        forward = Inherits.forward

    class Abstract(abc.ABC):
        @abc.abstractmethod
        def forward(self, x): ...

    class Concrete(Abstract):
        def __init__(self):
            self.first = Linear(4, 3)

        forward = Inherits.forward

    class Ordered(torch.nn.Sequential):
        def __init__(self):
            super().__init__(Linear(4, 3))

    @model
    class Decorated:
        def __init__(self):
            self.first = Linear(4, 3)

        forward = Inherits.forward

    class OfDecorated(Decorated):
        def __init__(self):
            super().__init__()
            self.second = Linear(3, 3)

        def forward(self, x):
            return self.second(super().forward(x))

    class ForgetsDecorated(Decorated):
        def __init__(self):
            self.first = Linear(4, 3)

    @dataclass
    class Data:
        width: int = 3

        def __post_init__(self):
            self.first = Linear(4, self.width)

        forward = Inherits.forward

    return locals()[name]


@pytest.mark.parametrize(
    "name",
    [
        "Inherits",
        "Forgets",
        "Late",
        "Child",
        "Concrete",
        "Ordered",
        "Decorated",
        "OfDecorated",
        "ForgetsDecorated",
        "Data",
    ],
)
def test_any_class_can_be_decorated(name):
    cls = model(base(name))
    assert cls.__name__ == name
    assert model(cls) is cls
    net = cls()
    assert isinstance(net, tessera.nn.Module)
    assert len(list(net.parameters())) == (4 if name == "OfDecorated" else 2)
    assert len({net, *net.modules()}) == len(list(net.modules()))
    prediction = net(X)
    assert prediction.shape == (5, 3)
    prediction.sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert torch.equal(copy.deepcopy(net)(X), net(X))


def test_without_init_there_is_nothing_to_pass():
    @model
    class Identity:
        def forward(self, x):
            return x * 1

    assert torch.equal(Identity()(X), X)
    with pytest.raises(TypeError, match="positional argument"):
        Identity(3)


@pytest.mark.parametrize("given", [type("Empty", (), {}), lambda x: x, 3], ids=["no forward", "function", "number"])
def test_what_has_no_forward_is_refused(given):
    with pytest.raises(LayerError) as caught:
        model(given)
    name = repr(getattr(given, "__name__", given))
    assert str(caught.value) == (
        f"@tessera.model was put on {name}, which has no forward. "
        "It makes a model of a class that defines forward(self, ...). "
        "Write class Net: with def __init__(self) for its layers and def forward(self, x)."
    )


def test_in_training_a_call_is_a_prediction():
    assert type(Net()(X)) is Prediction
    assert type(Net()(X, scale=2.0)) is Prediction
    assert type(torch.enable_grad()(lambda net: net(X))(Net())) is Prediction


def test_in_eval_mode_and_without_gradients_it_is_a_tensor():
    net = Net()
    with torch.no_grad():
        assert type(net(X)) is torch.Tensor
    with torch.inference_mode():
        assert type(net(X)) is torch.Tensor
    assert type(net.eval()(X)) is torch.Tensor


@model
class Outer:
    def __init__(self):
        self.inner, self.seen = Net(), []

    def forward(self, x):
        self.seen.append(type(self.inner(x)))
        return self.inner(x)


def test_inside_other_modules_and_transforms_it_is_a_tensor():
    outer, net = Outer(), Net()
    assert type(outer(X)) is Prediction
    assert outer.seen == [torch.Tensor]
    assert type(torch.nn.Sequential(net)(X)) is torch.Tensor
    assert type(torch.func.functional_call(net, dict(net.named_parameters()), (X,))) is torch.Tensor
    assert type(torch.vmap(net)(X)) is torch.Tensor
    assert type(torch.utils.checkpoint.checkpoint(net, X, use_reentrant=False)) is torch.Tensor
    assert type(torch.compile(net, backend="eager", fullgraph=True)(X)) is torch.Tensor
    assert type(torch.compile(lambda x: net(x) * 2, backend="eager", fullgraph=True)(X)) is torch.Tensor


def test_transforms_see_their_own_parameters():
    net, other = Net(), Net()
    grads = torch.func.grad(lambda p: torch.func.functional_call(net, p, (X,)).square().sum())(
        {**{k: v.detach() for k, v in other.named_parameters()}}
    )
    other(X).square().sum().backward()
    assert torch.allclose(grads["first.weight"], other.first.weight.grad)


def test_it_exports_as_the_plain_module():
    net, plain = Net(), Plain()
    plain.load_state_dict(net.state_dict())
    assert torch.equal(torch.export.export(net, (X,)).module()(X), plain(X))


@pytest.mark.parametrize(
    "output", [lambda x: (x, x), lambda x: {"out": x}, lambda x: x.as_subclass(Sub), lambda x: None]
)
def test_what_is_no_plain_tensor_is_returned_as_it_is(output):
    @model
    class Structured:
        def __init__(self):
            self.first = Linear(4, 3)

        def forward(self, x):
            return output(self.first(x))

    assert type(Structured()(X)) is type(output(X))


class Sub(torch.Tensor):
    def mine(self):
        return 1


def test_hooks_run_once_for_each_call():
    net, calls = Net(), []
    net.register_forward_hook(lambda *_: calls.append("forward"))
    net.register_forward_pre_hook(lambda *_: calls.append("before"))
    net(X).sum().backward()
    assert calls == ["before", "forward"]


def test_it_has_the_doors():
    assert {"fit", "export", "save", "load", "summary"} <= set(dir(Net()))
    assert issubclass(Net, Model)


def test_a_loop_over_a_batch_of_zero_samples_is_refused_and_changes_nothing():
    net = Net()
    optimizer = SGD(net, lr=0.1)
    optimizer.step(net(X).loss(torch.zeros(5, dtype=torch.int64)))
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(BatchError, match=r"^The prediction has shape \[0, 3\]: the batch has no samples\."):
        optimizer.step(net(X[:0]).loss(torch.zeros(0, dtype=torch.int64)))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
