import pytest
import torch

import tessera
from tessera.backend.inductor import compile_program
from tessera.backend.native import make_native
from tessera.torch_internals import InductorOutput
from tests.backend.hand_made import program


def notes(compiled):
    return [note for compilation in compiled.report.compilations for note in compilation.notes]


def test_a_compiled_function_runs_as_one_c_call():
    compiled = tessera.compile(lambda a, b: a + b)
    a, b = torch.rand(4, 5), torch.rand(5)
    assert torch.equal(compiled(a, b), a + b)
    assert "runs as one C call" in notes(compiled)
    assert torch.equal(compiled(b.expand(4, 5).clone(), b), b + b.expand(4, 5))


def test_an_index_out_of_range_raises():
    compiled = tessera.compile(lambda table, index: table[index] * 2)
    table = torch.arange(5.0)
    assert compiled(table, torch.tensor([4, 0])).tolist() == [8, 0]
    assert "runs as one C call" in notes(compiled)
    with pytest.raises((IndexError, RuntimeError), match=r"out of (bounds|range)"):
        compiled(table, torch.tensor([4, 5]))
    assert compiled(table, torch.tensor([1, 2])).tolist() == [2, 4]


@pytest.fixture(scope="module")
def accumulate():
    """total += x; returns the total so far and whether it is below 6."""

    def step(total, x):
        new = total + x
        total.copy_(new)
        return new * 1, new.sum() < 6

    made = program(step, torch.zeros(2), torch.zeros(2))
    return compile_program(made).native


@pytest.mark.parametrize(("stop", "ran"), [(None, 5), (1, 2)])
def test_a_loop_advances_the_stacked_inputs_and_the_results(accumulate, stop, ran):
    total, x = torch.zeros(2), torch.arange(10.0).reshape(5, 2)
    steps, (totals, below) = accumulate.loop(5, [total, x], stacked=[1], stop=stop)
    assert steps == ran
    expected = x.cumsum(0)
    assert torch.equal(totals[:ran], expected[:ran])
    assert torch.equal(below[:ran], expected[:ran].sum(1) < 6)
    assert torch.equal(total, expected[ran - 1])


def test_a_call_empties_its_inputs_and_refuses_another_number_of_them(accumulate):
    inputs = [torch.zeros(2), torch.ones(2)]
    assert accumulate(inputs)[0].tolist() == [1, 1]
    assert inputs == []
    with pytest.raises(TypeError, match="a list of 2 tensors is expected"):
        accumulate([torch.zeros(2)])


def test_a_wrapper_that_calls_a_library_or_takes_a_number_stays_python():
    wrapper = "def call(self, args):\n    a, = args\n    {}\n    return (buf0, )"
    library = InductorOutput(list, wrapper.format("buf0 = extern_kernels.exp(a)"), {})
    assert make_native(library, [torch.zeros(2)]) is None
    assert make_native(library, [2]) is None
    assert make_native(InductorOutput(list, "", {}), []) is None
