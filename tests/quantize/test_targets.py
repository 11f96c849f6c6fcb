"""The names of whole recipes."""

from __future__ import annotations

import pytest

from tessera.errors import QuantizeError
from tessera.quantize.targets import TARGETS, target_named


def test_tables_have_no_activations():
    assert all(table.act is None for _, table in TARGETS.values())


def test_an_unknown_target_lists_those_there_are():
    with pytest.raises(QuantizeError) as error:
        target_named("int7")
    assert str(error.value) == (
        "target='int7' was passed. There are 'int8', 'int8-weight', 'int4', 'int4-int8', 'fp8', 'fp8_e5m2', 'nf4', "
        "'mxfp4'. Write tessera.quantize(model, target='int8'), or say it layer by layer with rules=[Rule(...)]."
    )
