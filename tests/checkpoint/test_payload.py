from __future__ import annotations

import random

import pytest
import torch
from safetensors import safe_open

from tessera.checkpoint.payload import contents, header, in_file_order, restored, stored, stored_shape
from tests.checkpoint.samples import DTYPES, SHAPES, same


def made(dtype, shape):
    bits = torch.randint(0, 2 if dtype is torch.bool else 256, (*shape, dtype.itemsize), dtype=torch.uint8)
    return bits.reshape(-1).view(dtype).reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_library_reads_what_is_written(tmp_path, dtype):
    tensors = {f"{number} {shape}": made(dtype, shape) for number, shape in enumerate(SHAPES)}
    tensors["odd"] = torch.ones(3, dtype=torch.uint8)  # none of the following begins at a multiple of its size
    tensors |= {f"after {name}": tensor.clone() for name, tensor in list(tensors.items())}
    names = list(tensors)
    random.Random(0).shuffle(names)
    ordered = in_file_order({name: stored(tensors[name]) for name in names})
    path = tmp_path / "file.safetensors"
    path.write_bytes(b"".join([header(ordered, {"format": "pt"}), *map(contents, ordered.values())]))
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert set(file.keys()) == set(tensors)
        for name, tensor in tensors.items():
            assert list(file.get_slice(name).get_shape()) == stored_shape(tensor.shape, tensor.dtype)
            assert same(restored(file.get_tensor(name), tensor.dtype), tensor)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_a_complex_number_is_put_where_torch_can_read_it(dtype):
    numbers = torch.arange(10, dtype=dtype.to_real())
    for start in (0, 1):  # the second begins between two complex numbers
        pairs = numbers[start:][:8].view(4, 2)
        made = restored(pairs, dtype)
        assert made.data_ptr() % dtype.itemsize == 0
        assert torch.equal(torch.view_as_real(made), pairs)


def test_names_may_be_any_text(tmp_path):
    tensors = {'snow ☃ "quoted" \\': torch.ones(2)}
    path = tmp_path / "file.safetensors"
    path.write_bytes(header(tensors, {}) + contents(tensors['snow ☃ "quoted" \\']))
    with safe_open(path, "pt") as file:
        assert list(file.keys()) == list(tensors)


def test_contents_are_no_copy():
    tensor = torch.zeros(2, dtype=torch.bfloat16)
    view = contents(tensor)
    tensor += 1
    assert bytes(view) == b"\x80\x3f" * 2
    assert len(contents(torch.empty(0))) == 0
    assert len(contents(torch.tensor(1.0))) == 4
