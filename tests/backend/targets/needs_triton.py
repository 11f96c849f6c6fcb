"""The mark of tests that compile Triton kernels: the `triton` extra, which `make test` installs."""

from __future__ import annotations

import importlib.util

import pytest

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed: pip install 'tessera[triton]'"
)
