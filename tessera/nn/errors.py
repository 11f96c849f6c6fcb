"""The two errors that only layers and Predictions raise."""

from __future__ import annotations

from tessera.errors import TesseraError


class LayerError(TesseraError, ValueError, TypeError):
    """A layer or a model class was given sizes or parts that it cannot be built from."""


class StalePredictionError(TesseraError, RuntimeError):
    """A Prediction is read for the first time after something that its forward reads has changed."""
