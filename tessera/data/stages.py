"""What happens to a sample after it was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from typing import Any

from tessera.data.callables import line_of, name_of, takes_rng
from tessera.data.randomness import generator
from tessera.errors import SettingError, SourceLine


@dataclass(frozen=True)
class Stage:
    """A function of one sample.

    Attributes:
        function: ``(sample) -> ...``, or with a second parameter ``rng``, a ``numpy.random.Generator``.
        random: False promises that it draws nothing from the global generators; this is checked.
        wants_rng: whether it has the parameter ``rng``.
        name: kind and function, for messages and tables.
        line: where the function is defined.

    Args:
        shown: the user's function to name, where ``function`` is ours and calls it.

    Raises:
        SettingError: it cannot be called.
    """

    function: Callable[..., Any]
    random: bool = True
    shown: InitVar[Callable[..., Any] | None] = None
    wants_rng: bool = field(init=False)
    name: str = field(init=False)
    line: SourceLine | None = field(init=False)

    def __post_init__(self, shown: Callable[..., Any] | None) -> None:
        kind = type(self).__name__.lower()
        if not callable(self.function):
            raise SettingError(
                f"{kind}({self.function!r}) was called.",
                "It takes a function of one sample.",
                f"Write for example dataset.{kind}(prepare), without calling it.",
            )
        object.__setattr__(self, "wants_rng", takes_rng(self.function))
        object.__setattr__(self, "name", f"{kind} {name_of(shown or self.function)}")
        object.__setattr__(self, "line", line_of(shown or self.function))

    @property
    def seeded(self) -> bool:
        """Whether the global generators are set for it."""
        return self.random and not self.wants_rng

    def __call__(self, sample: Any, *key: int) -> Any:
        """Call the function; ``key`` is what its random numbers follow from."""
        return self.function(sample, rng=generator(*key)) if self.wants_rng else self.function(sample)


class Read(Stage):
    """The function makes the sample from its number."""


class Map(Stage):
    """The function makes another sample."""


class Filter(Stage):
    """The function says whether the sample stays."""
