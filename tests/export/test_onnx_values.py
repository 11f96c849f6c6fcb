from __future__ import annotations

import pytest
import torch

from tessera.export.export import export
from tessera.export.onnx_values import from_runtime, to_runtime

pytest.importorskip("onnxruntime")
DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool,
    torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(4, 3), (), (0, 2)])
def test_there_and_back(dtype, shape):
    tensor = torch.randn(shape).abs().to(dtype)
    back = from_runtime(to_runtime(tensor))
    assert (back.dtype, back.shape) == (dtype, tensor.shape)
    assert torch.equal(back.double(), tensor.double())


def test_what_is_not_contiguous():
    tensor = torch.arange(6.0).reshape(2, 3).T
    assert torch.equal(from_runtime(to_runtime(tensor)), tensor)


def test_a_file_takes_and_gives_bfloat16(tmp_path):
    class Half(torch.nn.Module):
        def forward(self, x):
            return x.transpose(0, 1), x.float() / 2

    report = export(Half(), tmp_path / "m.onnx", torch.randn(4, 3).bfloat16(), measure=False)
    assert report.max_error == 0.0
