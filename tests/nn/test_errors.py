from __future__ import annotations

import pytest

from tessera.errors import TesseraError
from tessera.nn.errors import LayerError, StalePredictionError


@pytest.mark.parametrize(
    ("error", "caught_as"), [(LayerError, ValueError), (LayerError, TypeError), (StalePredictionError, RuntimeError)]
)
def test_it_is_caught_as_what_it_is(error, caught_as):
    with pytest.raises(caught_as, match="^one two three$") as caught:
        raise error("one", "two", "three")
    assert isinstance(caught.value, TesseraError)
