from __future__ import annotations

import dataclasses

import pytest

from tessera.export.format import Options
from tessera.export.formats import all_formats


@pytest.mark.parametrize("form", all_formats(), ids=lambda form: form.name)
def test_a_format_says_what_it_needs(form):
    assert form.endings
    assert all(ending.startswith(".") for ending in form.endings)
    assert form.install.startswith("pip install ")
    assert form.options <= {field.name for field in dataclasses.fields(Options)}
