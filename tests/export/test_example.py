from __future__ import annotations

import dataclasses

import pytest
import torch

from tessera.errors import ExportError
from tessera.export.example import Example
from tessera.shapes.size import read_size

X = torch.randn(4, 3)


def example(*tensors, dims, **bounds):
    names = tuple(f"x{at}" for at in range(len(tensors)))
    return Example(tensors, names, dims, **bounds)


def test_a_call_is_by_position():
    module = torch.nn.Linear(3, 1)
    torch.testing.assert_close(example(X, dims=({},)).call(module), module(X))


def test_sizes_change_by_repeating_or_cutting():
    one = example(X, X.t(), dims=({0: "batch"}, {1: "batch"}))
    larger = one.resized({"batch": 6})
    torch.testing.assert_close(larger.tensors[0], torch.cat([X, X[:2]]))
    torch.testing.assert_close(larger.tensors[1], torch.cat([X, X[:2]]).t())
    torch.testing.assert_close(one.resized({"batch": 1}).tensors[0], X[:1])
    assert example(X[:1], dims=({0: "batch"},)).traceable().sizes == {"batch": 2}


def test_the_cases_hold_one_two_odd_and_largest_sizes():
    def words(**options):
        return [words for words, _ in example(X, **options).cases()]

    assert words(dims=({0: "B"},)) == ["B 4", "B 1", "B 2", "B 5", "B 11"]
    assert words(dims=({0: "B"},), largest={"B": 4}) == ["B 4", "B 1", "B 2"]
    assert words(dims=({0: "B"},), largest={"B": 64}) == ["B 4", "B 1", "B 2", "B 5", "B 64"]
    assert words(dims=({},)) == ["the example"]
    assert words(dims=({0: "B"},), smallest={"B": 3}) == ["B 4", "B 3", "B 5", "B 11"]
    assert words(dims=({0: "B"},), smallest={"B": 4}, largest={"B": 4}) == ["B 4"]
    assert words(dims=({0: "B", 1: "S"},), smallest={"S": 2})[-1] == "B 1, S 2"
    both = words(dims=({0: "B", 1: "S"},))
    assert both[-1] == "B 1, S 1"
    assert "B 4, S 9" in both
    assert len(both) == len(set(both))


def test_every_case_has_the_sizes_that_it_says():
    for words, case in example(X, X.t(), dims=({0: "B", 1: "S"}, {1: "B"})).cases():
        sizes = dict(part.split() for part in words.split(", "))
        assert case.tensors[0].shape == (int(sizes["B"]), int(sizes["S"]))
        assert case.tensors[1].shape == (3, int(sizes["B"]))


def test_a_length_that_is_computed_follows_its_names():
    formulas = {"2*S": read_size("2*S"), "S//2": read_size("S//2")}
    one = Example((torch.randn(4, 6), X[:2]), ("x", "y"), ({0: "S", 1: "S + 2"}, {0: "S//2"}), {"S": 9}, formulas)
    one = dataclasses.replace(one, formulas={**formulas, "S + 2": read_size("S + 2")})
    assert one.sizes == {"S": 4}
    shapes = [(*map(len, case.tensors), case.tensors[0].shape[1]) for _, case in one.cases()]
    assert shapes == [(4, 2, 6), (1, 0, 3), (2, 1, 4), (5, 2, 7), (9, 4, 11)]
    assert (one.most("S + 2"), one.most("S//2"), one.most("T")) == (11, 4, None)
    assert one.resized({"S": 2}).traceable().sizes == {"S": 4}  # S//2 is two then


def test_a_name_that_stands_in_a_formula_alone():
    one = Example((torch.randn(4, 6),), ("x",), ({1: "2*S"},), {}, {"2*S": read_size("2*S")})
    assert one.sizes == {"S": 3}
    assert [case.tensors[0].shape[1] for _, case in one.cases()] == [6, 2, 4, 10, 18]


def test_limited_to_some_sizes():
    both = example(X, dims=({0: "B", 1: "S"},), largest={"B": 8})
    assert [words for words, _ in both.limited({"B": (1, 8)}).cases()] == ["B 1, S 3", "B 8, S 3"]
    for wrong in ({"T": (1,)}, {"B": ()}, {"B": (9,)}, {"S": (0,)}):
        with pytest.raises(ExportError, match="was passed. The dimensions that may change are B, S; each has one"):
            both.limited(wrong)


def test_limited_to_sizes_that_were_declared():
    bounded = example(X, dims=({0: "B"},), smallest={"B": 2}, largest={"B": 8})
    assert [case.sizes["B"] for _, case in bounded.limited({"B": (2, 8)}).cases()] == [2, 8]
    with pytest.raises(ExportError, match="each has one size or more, 2 at least, 8 at most"):
        bounded.limited({"B": (1,)})


def test_fresh_inputs_are_others_of_the_same_kind():
    mask, tokens = (torch.rand(4, 3) > 0.5).float(), torch.randint(5, 9, (4, 3))
    one = example(X, mask, tokens, dims=({0: "B"},) * 3)
    fresh = one.fresh({"B": 9}, seed=1)
    assert not torch.isin(fresh.tensors[0], X).any()
    assert set(fresh.tensors[1].unique().tolist()) <= {0.0, 1.0}
    assert torch.isin(fresh.tensors[2], tokens).all()
    assert [t.dtype for t in fresh.tensors] == [t.dtype for t in one.tensors]
    assert torch.equal(fresh.tensors[0], one.fresh({"B": 9}, seed=1).tensors[0])
    assert not torch.equal(fresh.tensors[0], one.fresh({"B": 9}, seed=2).tensors[0])


def test_fixed_sizes_have_no_names():
    fixed = example(X, dims=({0: "B"},), largest={"B": 9}).fixed()
    assert (fixed.sizes, dict(fixed.largest)) == ({}, {})


def test_double_leaves_whole_numbers_alone():
    found = example(X, torch.arange(4), dims=({}, {})).double()
    assert [tensor.dtype for tensor in found.tensors] == [torch.float64, torch.int64]


def test_nothing_is_made_of_nothing():
    with pytest.raises(ExportError) as error:
        example(torch.empty(0, 3), dims=({0: "B"},)).traceable()
    assert str(error.value) == (
        "The example input has no element along B (its shape is [0, 3]). Inputs of other sizes are made from the "
        "example's own values. Pass an example of two samples or more."
    )


def test_eight_bit_floats_are_moved_too():
    x = torch.tensor([[0.9], [30.0]]).to(torch.float8_e4m3fn)
    fresh = example(x, dims=({0: "batch"},)).fresh({"batch": 5}, seed=1).tensors[0]
    assert (fresh.dtype, fresh.shape) == (x.dtype, (5, 1))
    assert ((fresh.float() / x.float().T - 1).abs().amin(1) < 0.13).all()


@pytest.mark.parametrize("dtype", [torch.uint64, torch.uint32, torch.uint16, torch.complex64, torch.bool, torch.int8])
def test_numbers_of_every_type_may_have_other_sizes(dtype):
    one = example(torch.arange(4).to(dtype), dims=({0: "B"},))
    assert one.resized({"B": 6}).tensors[0].tolist() == torch.tensor([0, 1, 2, 3, 0, 1]).to(dtype).tolist()
    assert all(case.tensors[0].dtype == dtype for _, case in one.cases())
