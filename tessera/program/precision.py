"""What the user asks of the precision of products: one word, or one for each of some layers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch

from tessera.errors import SettingError

NAMES = ("auto", "fp32", "tf32", "bf16", "fp16", "fp8")
_DEFAULT = "default"


@dataclass(frozen=True)
class Precision:
    """The precision that matrix products, attention and convolutions are to be computed in.

    Attributes:
        default: one of ``NAMES``; ``"fp32"`` leaves every layer in its own dtype.
        layers: pairs of a layer's path and one of ``NAMES``; ``*`` stands for one part of a path.
    """

    default: str = "fp32"
    layers: tuple[tuple[str, str], ...] = ()

    def of(self, layer: str) -> str:
        """The word for a layer: that of the last rule for it or for a layer that it is part of."""
        parts = layer.split(".")
        fitting = [name for pattern, name in self.layers if _fits(pattern.split("."), parts)]
        return fitting[-1] if fitting else self.default

    @property
    def changes_something(self) -> bool:
        """Whether anything is asked but to leave all as it is."""
        return any(name != "fp32" for name in self.names)

    @property
    def names(self) -> list[str]:
        """Every word that occurs."""
        return list(dict.fromkeys([self.default, *(name for _, name in self.layers)]))

    def check_layers(self, module: torch.nn.Module) -> None:
        """Raise ``SettingError`` for a rule that fits no layer of ``module``."""
        paths = [path for path, _ in module.named_modules() if path]
        for pattern, name in self.layers:
            if not any(_fits(pattern.split("."), path.split(".")) for path in paths):
                near = difflib.get_close_matches(pattern, paths, n=1, cutoff=0.0)
                raise SettingError(
                    f"precision has a rule for {pattern!r}.",
                    f"This {type(module).__name__} has no such layer.",
                    f"Write for example {{{near[0]!r}: {name!r}}}."
                    if near
                    else f"Write precision={name!r}: this module has no layers.",
                )

    def __str__(self) -> str:
        return ", ".join([self.default, *(f"{pattern}: {name}" for pattern, name in self.layers)])


def resolve_precision(given: str | Mapping[str, str] | Precision) -> Precision:
    """The precision that the argument ``precision`` of a training step means.

    Args:
        given: one of ``NAMES``, or a mapping from layers to them, in which ``"default"`` stands for all others.

    Raises:
        SettingError: an unknown name, or something else.
    """
    if isinstance(given, Precision):
        return given
    if isinstance(given, str):
        return Precision(_checked(given, repr(given)))
    if isinstance(given, Mapping) and all(isinstance(layer, str) for layer in given):
        words = {layer: _checked(name, f"{{{layer!r}: {name!r}}}") for layer, name in given.items()}
        return Precision(words.pop(_DEFAULT, "fp32"), tuple(words.items()))
    raise SettingError(
        f"precision={given!r} was passed.",
        f"It is one of {', '.join(NAMES)}, or a dict of them by the names of layers.",
        'Write precision="auto", or precision={"default": "bf16", "head": "fp32"}.',
    )


def _checked(name: object, passed: str) -> str:
    if isinstance(name, str) and name in NAMES:
        return name
    near = difflib.get_close_matches(str(name), NAMES, n=1, cutoff=0.0)[0]
    raise SettingError(
        f"precision={passed} was passed.",
        f"There is {', '.join(NAMES)}.",
        f"Write {near!r} in place of {name!r}.",
    )


def _fits(pattern: list[str], path: list[str]) -> bool:
    return len(pattern) <= len(path) and all(map(fnmatchcase, path, pattern))
