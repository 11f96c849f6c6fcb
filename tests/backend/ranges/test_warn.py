"""Warnings at the user's line, once."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch

import tessera
from tessera.backend.ranges.warn import raise_errors, warn
from tessera.errors import NumericsError, NumericsWarning
from tests.backend.ranges.asking import X


def log_of_relu(x):
    return x.relu().log()


def test_a_warning_points_at_the_line_and_comes_once():
    found = tessera.check_numerics(log_of_relu, X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warn(found)
        warn(found)
    (one,) = caught
    assert one.category is NumericsWarning
    assert (one.filename, one.lineno) == (found[0].where.file, found[0].where.line)
    assert str(one.message) == f"domain: {found[0].message}"


def test_a_filter_that_makes_errors_of_warnings_stops_nothing(caplog):
    with caplog.at_level(logging.WARNING, logger="tessera"):
        warn(tessera.check_numerics(log_of_relu, X))
    assert "domain" in caplog.text


def test_only_functions_that_check_raise():
    raise_errors(tessera.check_numerics(log_of_relu, X), "f")
    found = tessera.check_numerics(lambda x: tessera.log(x.relu()), X)
    with pytest.raises(NumericsError, match=r"In 'f': log of a relu") as caught:
        raise_errors(found, "f")
    assert caught.value.where == found[0].where
    assert torch.is_tensor(X)
