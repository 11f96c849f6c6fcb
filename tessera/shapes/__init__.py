"""Shapes as types: ``Tensor["B", "S", 512]``, understood, compared, and proved before anything runs."""

from tessera.shapes.annotation import Tensor as Tensor
from tessera.shapes.size import dims as dims
