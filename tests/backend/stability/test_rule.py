import dataclasses

import pytest

from tessera.backend.stability.table import TABLE


def test_a_row_is_not_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TABLE[0].name = "another"
