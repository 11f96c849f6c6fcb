import copy
import pickle

import pytest
import torch
from torch import nn

import tessera
from tessera.errors import SettingError


class Block(nn.Module):
    """Counts how often it runs eagerly."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.linear, self.norm, self.dropout = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(dropout)
        self.runs = 0

    def forward(self, x, *, scale=1.0):
        if not torch.compiler.is_compiling():
            self.runs += 1
        return self.dropout(torch.tanh(self.norm(self.linear(x)))) * scale


X = torch.randn(16, 8)


def gradients(function, module, seed=0):
    torch.manual_seed(seed)
    value = function(X)
    value.square().sum().backward()
    return value.detach(), [parameter.grad for parameter in module.parameters()], dict(module.named_buffers())


def spellings(block):
    """Ways to mark it."""

    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = block

        def forward(self, x):
            return tessera.checkpoint(self.block)(x)

    @tessera.checkpoint
    def function(x):
        return block(x)

    return {"module": tessera.checkpoint(block), "inside": Inside(), "function": function}


@pytest.mark.parametrize("spelling", ["module", "inside", "function"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_it_computes_again_and_gives_the_same_bits(spelling, dropout):
    torch.manual_seed(0)
    plain = Block(dropout)
    block = copy.deepcopy(plain)
    expected = gradients(plain, plain)
    found = gradients(spellings(block)[spelling], block)
    assert block.runs == 2
    assert plain.runs == 1
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_nothing_is_kept_but_what_went_in():
    def kept_by(function):
        kept = set()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.add(t.data_ptr()) or t, lambda t: t):
            function(X)
        return kept - {0}  # torch 2.11 keeps a tensor without elements too

    block = Block()
    assert len(kept_by(block)) > 3
    assert kept_by(tessera.checkpoint(block)) == {X.data_ptr()}


def test_a_marked_class_marks_every_module():
    @tessera.checkpoint
    class Marked(Block):
        pass

    block = Marked()
    gradients(block, block)
    assert block.runs == 2
    assert block(X, scale=2.0).shape == X.shape


def test_a_marked_module_is_the_module():
    block = Block()
    marked = tessera.checkpoint(block)
    assert isinstance(marked, Block)
    assert type(marked).__name__ == "Block"
    assert list(marked.state_dict()) == list(block.state_dict())
    assert marked.linear is block.linear
    parent = nn.Sequential(nn.Linear(8, 8), marked)
    assert list(parent.state_dict()) == list(nn.Sequential(nn.Linear(8, 8), block).state_dict())
    parent.eval()
    assert not block.training
    block(X)
    assert block.runs == marked.runs == 1
    assert block.forward.__func__ is Block.forward


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"])
def test_a_copy_is_marked_and_on_its_own(copied):
    marked = tessera.checkpoint(Block())
    twin = copied(marked)
    assert twin.linear.weight is not marked.linear.weight
    gradients(twin, twin)
    assert (twin.runs, marked.runs) == (2, 0)
    assert marked.linear.weight.grad is None


def test_names_of_arguments_are_the_functions_own():
    @tessera.checkpoint
    def function(x, *, debug, use_reentrant):
        return x * debug * use_reentrant

    x = X.clone().requires_grad_()
    function(x, debug=2.0, use_reentrant=3.0).sum().backward()
    assert torch.equal(x.grad, torch.full_like(X, 6.0))


def test_tesseras_dropout_asks_the_module_that_ran():
    class Network(nn.Module):
        def forward(self, x):
            return tessera.checkpoint(lambda y: tessera.dropout(y.sin(), 0.5).sin())(x)

    network = Network().eval()
    x, y = (X.clone().requires_grad_() for _ in range(2))
    network(x).sum().backward()
    y.sin().sin().sum().backward()
    assert torch.equal(x.grad, y.grad)


@pytest.mark.parametrize("given", [3, None, "block", int, torch.Tensor], ids=str)
def test_what_cannot_be_marked_is_an_error(given):
    with pytest.raises(SettingError, match="was given"):
        tessera.checkpoint(given)


class Network(nn.Module):
    """Blocks, each marked where it is called."""

    def __init__(self, dropout):
        super().__init__()
        self.blocks = nn.ModuleList(Block(dropout) for _ in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = x + tessera.checkpoint(block)(x, scale=0.5)
        return x


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_training_step_keeps_nothing_of_it_and_does_the_same(dropout):
    torch.manual_seed(0)
    ours = Network(dropout)
    theirs = copy.deepcopy(ours)
    step = tessera.train_step(ours, nn.functional.mse_loss, torch.optim.SGD(ours.parameters(), lr=0.1))
    twin = torch.optim.SGD(theirs.parameters(), lr=0.1)
    torch.manual_seed(1)
    found = step(X, X)
    assert step.report.rung == "whole step in one Program"
    assert "values are computed again" in str(step.report)
    torch.manual_seed(1)
    expected = nn.functional.mse_loss(theirs(X), X)
    expected.backward()
    twin.step()
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def test_compiled_pieces_draw_the_same_numbers_again():
    torch.manual_seed(0)
    theirs = Network(0.5)
    ours = copy.deepcopy(theirs)
    compiled = tessera.compile(ours)
    expected = gradients(theirs, theirs)
    found = gradients(compiled, ours)
    assert not compiled.report.step_downs
    torch.testing.assert_close(found, expected)
