"""Number formats: the nearest number is the one that comes out."""

from __future__ import annotations

import pytest
import torch

from tessera.errors import QuantizeError
from tessera.quantize.formats import ACTIVATION_FORMATS, FORMATS, format_named
from tests.quantize.plain import all_values


@pytest.mark.parametrize("name", FORMATS)
def test_encodes_to_the_nearest_number(name):
    form, grid = FORMATS[name], torch.tensor(all_values(name), dtype=torch.float64)
    ratio = (torch.rand(2000, dtype=torch.float64) * 2 - 1) * form.largest
    found = form.decode(form.encode(ratio), torch.float64)
    nearest = (ratio[:, None] - grid).abs().amin(1)
    assert torch.equal((ratio - found).abs(), nearest) or (ratio - found).abs().sub(nearest).max() < 1e-12


@pytest.mark.parametrize("name", FORMATS)
def test_every_number_keeps_its_place(name):
    form = FORMATS[name]
    grid = torch.tensor(all_values(name), dtype=torch.float32)
    assert torch.equal(form.decode(form.encode(grid), torch.float32), grid)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_too_large_becomes_the_largest(name):
    form = FORMATS[name]
    ends = form.decode(form.encode(torch.tensor([1e30, -1e30])), torch.float32)
    assert ends.tolist() == [max(all_values(name)), min(all_values(name))]


def test_an_unknown_format_is_named():
    with pytest.raises(QuantizeError) as error:
        format_named("int3")
    assert str(error.value) == (
        "The number format 'int3' was asked for. There are int8, int4, fp8_e4m3, fp8_e5m2, nf4, mxfp4. "
        "Write for example Rule('mlp', weight='int8')."
    )
    with pytest.raises(QuantizeError, match="'nf4'"):
        format_named("nf4", ACTIVATION_FORMATS)
