from __future__ import annotations

import random

import pytest
import torch

from tessera.checkpoint.staging import Stager
from tests.checkpoint.samples import same, tensor


@pytest.mark.parametrize("seed", range(20))
def test_copies_are_the_tensors_as_they_were(seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    stager = Stager()
    for _ in range(3):
        tensors = {str(number): tensor(rng) for number in range(12)}
        expected = {name: value.clone() for name, value in tensors.items()}
        staged = stager.stage(tensors)
        for value in tensors.values():
            value.untyped_storage().fill_(1)
        staged.wait()
        for name, copy in staged.copies.items():
            assert same(copy, expected[name])
            assert copy.is_contiguous()


def test_the_memory_is_used_again():
    stager = Stager()
    model = [torch.nn.Parameter(torch.randn(50, 50)), torch.zeros(3, dtype=torch.bfloat16)]

    def places():
        staged = stager.stage({str(number): value for number, value in enumerate(model)})
        return [copy.data_ptr() for copy in staged.copies.values()]

    first = places()
    assert places() == first
    model.append(torch.ones(5))
    assert len(set(places())) == 3


def test_a_parameter_is_copied_without_its_graph():
    staged = Stager().stage({"a": torch.nn.Parameter(torch.ones(2))})
    assert not staged.copies["a"].requires_grad


def test_a_copy_made_in_inference_mode_can_be_followed_by_others():
    stager, model = Stager(), torch.ones(3)
    with torch.inference_mode():
        stager.stage({"a": model, "b": torch.ones(2)})
    model += 1
    assert stager.stage({"a": model, "b": torch.ones(2)}).copies["a"].tolist() == [2, 2, 2]


def test_nothing_is_staged_as_nothing():
    assert Stager().stage({}).copies == {}


@pytest.mark.gpu
def test_a_gpu_is_copied_while_python_goes_on():
    value = torch.ones(1 << 24, device="cuda")
    staged = Stager().stage({"a": value})
    value.zero_()  # after the copy, in the GPU's order of work
    staged.wait()
    assert bool((staged.copies["a"] == 1).all())
    assert staged.copies["a"].is_pinned()
