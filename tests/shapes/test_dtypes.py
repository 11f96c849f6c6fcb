from __future__ import annotations

import pytest
import torch

import tessera
from tessera.shapes.annotation import spec_of


@pytest.mark.parametrize("name", ["f16", "bf16", "f32", "f64", "i8", "i16", "i32", "i64", "u8"])
def test_short_names_are_torchs_dtypes(name):
    dtype = getattr(tessera, name)
    kind = "bfloat" if name[0] == "b" else {"f": "float", "i": "int", "u": "uint"}[name[0]]
    assert dtype is getattr(torch, kind + name.lstrip("bfiu"))
    assert spec_of(tessera.Tensor["B", 3, dtype]).dtypes == (dtype,)
