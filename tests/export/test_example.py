from __future__ import annotations

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.example import Example
from tessera.train.batches import Batch
from tessera.train.example_inputs import remember_inputs

MODULE = torch.nn.Linear(3, 1)
X = torch.randn(4, 3)


@pytest.mark.parametrize("inputs", [X, (X,), [X]])
def test_the_first_dimension_is_the_batch(inputs):
    example = Example.of(MODULE, inputs, None)
    assert example.tensors[0] is not None
    assert example.dims == ({0: "batch"},)
    assert example.sizes == {"batch": 4}
    torch.testing.assert_close(example.call(MODULE), MODULE(X))


def test_only_inputs_as_long_as_the_first_have_a_batch():
    example = Example.of(MODULE, (X, torch.zeros(4), torch.zeros(7, 2), torch.tensor(1.0)), None)
    assert example.dims == ({0: "batch"}, {0: "batch"}, {}, {})


def test_keyword_inputs():
    example = Example.of(MODULE, {"input": X}, {"input": {0: "rows"}})
    assert example.names == ("input",)
    assert example.sizes == {"rows": 4}
    torch.testing.assert_close(example.call(MODULE), MODULE(X))


def test_the_inputs_of_the_last_training_are_an_example():
    module = torch.nn.Linear(3, 1)
    remember_inputs(module, Batch((X,), torch.zeros(4)))
    torch.testing.assert_close(Example.of(module, None, None).tensors[0], X[:2])


def test_sizes_change_by_repeating_or_cutting():
    example = Example.of(MODULE, (X, X.t()), ({0: "batch"}, {1: "batch"}))
    larger = example.resized({"batch": 6})
    torch.testing.assert_close(larger.tensors[0], torch.cat([X, X[:2]]))
    torch.testing.assert_close(larger.tensors[1], torch.cat([X, X[:2]]).t())
    torch.testing.assert_close(example.resized({"batch": 1}).tensors[0], X[:1])
    assert Example.of(MODULE, X[:1], None).traceable().sizes == {"batch": 2}


def test_the_cases_hold_one_and_odd_sizes():
    assert [words for words, _ in Example.of(MODULE, X, None).cases()] == ["batch 4", "batch 1", "batch 5", "batch 7"]
    assert [words for words, _ in Example.of(MODULE, X[:1], None).cases()] == ["batch 1", "batch 5", "batch 7"]
    cases = list(Example.of(MODULE, X, ({0: "batch", 1: "time"},)).cases())
    assert [words for words, _ in cases][-1] == "batch 4, time 2"
    assert cases[-1][1].tensors[0].shape == (4, 2)
    assert [words for words, _ in Example.of(MODULE, X, ({},)).cases()] == ["the example"]


def test_double_leaves_whole_numbers_alone():
    example = Example.of(MODULE, (X, torch.arange(4)), None).double()
    assert [tensor.dtype for tensor in example.tensors] == [torch.float64, torch.int64]


@pytest.mark.parametrize(("inputs", "found"), [(None, "nothing"), ((), "nothing"), ((1, "a"), "int, str")])
def test_no_example(inputs, found):
    with pytest.raises(ExportError) as error:
        Example.of(torch.nn.Linear(3, 1), inputs, None)
    assert str(error.value) == (
        f"example_inputs holds {found}, and Linear was not trained with fit before. "
        "An export follows one call of the model, so it needs the tensors of such a call. "
        "Write for example model.export('model.onnx', example_inputs=torch.randn(2, 784))."
    )
