from __future__ import annotations

import json

import pytest
import torch

from tessera.capture.step_down import CannotCapture, NeedsEagerStep, RunsEagerly, line_of_error
from tessera.errors import SourceLine


def test_an_error_inside_torch_names_the_line_that_called_torch():
    with pytest.raises(RuntimeError) as raised:
        torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 5))
    place = line_of_error(raised.value)
    assert place.file == __file__
    assert place.code == "torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 5))"


def test_the_innermost_line_of_the_user_is_named():
    def parse():
        return json.loads("{")

    with pytest.raises(json.JSONDecodeError) as raised:
        parse()
    assert line_of_error(raised.value).code == 'return json.loads("{")'


def test_an_error_that_was_never_raised_has_no_line():
    assert line_of_error(ValueError("x")) is None


@pytest.mark.parametrize("kind", [NeedsEagerStep, RunsEagerly])
def test_what_must_be_eager_is_a_reason_too(kind):
    place = SourceLine("model.py", 3)
    error = kind("no state yet", "Step once.", place)
    assert isinstance(error, CannotCapture)
    assert (str(error), error.reason, error.instead, error.where) == ("no state yet",) * 2 + ("Step once.", place)
