import random

import pytest
import torch

import tessera
from tessera.backend.passes.write_out_complex import has_complex, write_out_complex
from tessera.backend.verify import verify
from tests.backend.hand_made import aten, program, run, targets

X = torch.rand(2, 3, 4, 2, dtype=torch.float64)
F = torch.polar(torch.ones(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64))


def complex_left(made):
    made.graph.eliminate_dead_code()
    nodes = (node for node in made.graph.nodes if node.op == "call_function")
    return [node.target for node in nodes if node.meta["val"].is_complex()]


def turned(x, f):
    return (torch.view_as_real(torch.view_as_complex(x) * f),)


def turned_back(x, f):
    return (torch.view_as_real(torch.view_as_complex(x) * f[:3].view(1, 3, 4).conj().clone()).flatten(2),)


def angles(x, f):
    made = torch.polar(x[0, ..., 0].exp(), x[0, ..., 1])
    return (torch.view_as_real((torch.view_as_complex(x) - made).permute(1, 0, 2).sum(1)).sin(),)


@pytest.mark.parametrize("function", [turned, turned_back, angles], ids=lambda one: one.__name__)
def test_complex_numbers_become_pairs(function):
    made = program(function, X, F)
    expected = run(made, X, F)
    assert complex_left(made)
    assert write_out_complex(made)
    verify(made)
    assert set(complex_left(made)) <= {aten.slice.Tensor, aten.view.default, aten.alias.default}  # of the input alone
    torch.testing.assert_close(run(made, X, F), expected)
    assert write_out_complex(made) == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x, f: (torch.view_as_complex(x) * f,),  # a result is complex
        lambda x, f: (torch.view_as_real(torch.fft.fft(torch.view_as_complex(x) * f)),),  # so is what another needs
        lambda x, f: ((torch.view_as_complex(x) * f).abs(),),
        lambda x, f: (x * 2,),
    ],
    ids=["result", "needed whole", "size", "none"],
)
def test_what_is_needed_whole_stays_complex(function):
    made = program(function, X, F)
    before = targets(made)
    assert write_out_complex(made) == 0
    assert targets(made) == before


def test_a_number_that_is_no_tensor_stays():
    made = program(lambda x, f: (torch.view_as_real(torch.view_as_complex(x) * 2j + f),), X, F)
    expected = run(made, X, F)
    assert write_out_complex(made) == 1  # the sum; what it adds is computed as before
    torch.testing.assert_close(run(made, X, F), expected)


def random_function(seed):
    choose = random.Random(seed)
    steps = [(choose.randrange(9), choose.random(), choose.random()) for _ in range(10)]

    def function(x, f):
        values, results = [torch.view_as_complex(x), f.expand(2, 3, 4)], []
        for kind, i, j in steps:
            one, other = values[int(i * len(values))], values[int(j * len(values))]
            made = {
                0: lambda a, b: a * b,
                1: lambda a, b: a + b,
                2: lambda a, b: a - b,
                3: lambda a, b: a * b.conj(),
                4: lambda a, b: -a,
                5: lambda a, b: a.sum(0, keepdim=True).expand(2, 3, 4),
                6: lambda a, b: torch.polar(torch.view_as_real(a)[..., 0], torch.view_as_real(b)[..., 1]),
                7: lambda a, b: a * torch.exp(b),
                8: lambda a, b: a.permute(1, 0, 2)[:, :, :2].sum(2, keepdim=True).permute(1, 0, 2).expand(2, 3, 4),
            }[kind](one, other)
            values.append(made)
            results.append(torch.view_as_real(made.resolve_conj()))
        return tuple(results)

    return function


def test_random_graphs_keep_their_values():
    written = 0
    for seed in range(30):
        made = program(random_function(seed), X, F)
        expected = run(made, X, F)
        written += write_out_complex(made)
        made.graph.eliminate_dead_code()
        verify(made)
        torch.testing.assert_close(run(made, X, F), expected)
    assert written > 60


class Rotated(torch.nn.Module):
    """Rotary embedding as it is often written, with a table of complex numbers."""

    def __init__(self):
        super().__init__()
        self.linear, self.table = torch.nn.Linear(8, 8), torch.polar(torch.ones(5, 4), torch.rand(5, 4))

    def forward(self, x):
        pairs = self.linear(x).unflatten(-1, (-1, 2))
        return torch.view_as_real(torch.view_as_complex(pairs) * self.table[: x.shape[1]]).flatten(2)


def test_forward_and_backward_that_are_compiled_apart_keep_no_complex_number():
    torch.manual_seed(0)
    module, x = Rotated(), torch.randn(2, 4, 8)
    compiled = tessera.compile(module)
    expected = torch.autograd.grad(module(x).square().sum(), list(module.parameters()))
    found = torch.autograd.grad(compiled(x).square().sum(), list(module.parameters()))
    torch.testing.assert_close(found, expected)
    for compilation in compiled.report.compilations:
        names = {call.name for call in compilation.calls if call.kind == "library"}
        assert not any("mul" in name or "complex" in name for name in names)


def test_graphs_of_real_numbers_are_told_apart():
    def example(*values):
        graph = torch.fx.Graph()
        for number, value in enumerate(values):
            graph.placeholder(f"x{number}").meta["example_value"] = value
        graph.output(())
        return torch.fx.GraphModule({}, graph)

    assert has_complex(example(X, F))
    assert not has_complex(example(X, 3))
