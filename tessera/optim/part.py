"""Parameters of an optimizer that one transformation updates together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from tessera.errors import OptimizerError
from tessera.optim.parameter_groups import ParamGroup
from tessera.optim.transformation import GradientTransformation, Member, StateInit
from tessera.optim.transforms.on_real_views import on_real_views


@dataclass(frozen=True)
class Part:
    """A transformation and the parameters it sees as one list.

    Attributes:
        names: one for each parameter, where the transformation asks for them.
    """

    transformation: GradientTransformation
    params: list[Tensor]
    names: list[str] | None

    @classmethod
    def of(cls, transformation: GradientTransformation, groups: Sequence[ParamGroup]) -> Self:
        """The parameters of some groups under one transformation.

        Raises:
            OptimizerError: it chooses by name, and the parameters have none.
        """
        params = [param for group in groups for param in group["params"]]
        if any(param.is_complex() for param in params):
            transformation = on_real_views(transformation)
        names = None
        if transformation.by_name:
            names = [name for group in groups for name in group.get("param_names", ())]
            if len(names) != len(params):
                raise OptimizerError(
                    f"{len(params)} parameters with {len(names)} names were passed, and one is chosen by its name.",
                    "A pattern for names needs the name of every parameter.",
                    "Pass the model itself, or model.named_parameters().",
                )
        return cls(transformation, params, names)

    def inits(self, position: int) -> Mapping[str, StateInit]:
        """What makes the state of one parameter."""
        return self._of(position).state

    def inside(self, position: int) -> Iterator[Member]:
        """The transformations that have a part in the updates of one parameter."""
        return self._of(position).everything_inside(self.params[position])

    def _of(self, position: int) -> GradientTransformation:
        return self.transformation if self.names is None else self.transformation.named([self.names[position]])

    def bound(self, takes_part: Sequence[bool]) -> GradientTransformation:
        """The transformation for those parameters that take part in an update."""
        if self.names is None:
            return self.transformation
        return self.transformation.named([name for name, here in zip(self.names, takes_part, strict=True) if here])
