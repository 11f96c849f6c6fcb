"""Checks what is asked of ``fit`` before anything is touched."""

from __future__ import annotations

from tessera.errors import SettingError


def check_counts(**counts: int | None) -> None:
    """Check that every count is a whole number of at least one, or None.

    Raises:
        SettingError: something else was passed.
    """
    for name, count in counts.items():
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            raise SettingError(
                f"{name}={count!r} was passed.",
                f"{name} is a whole number of at least 1.",
                f"Write for example {name}=10.",
            )


def check_seed(seed: object) -> None:
    """Check that a seed is None or a whole number that torch takes.

    Raises:
        SettingError: it is not.
    """
    if seed is not None and not (isinstance(seed, int) and -(2**63) <= seed < 2**64):
        raise SettingError(
            f"seed={seed!r} was passed.",
            "seed is a whole number that fits into 64 bits, or None for the random numbers as they are.",
            "Write for example seed=0.",
        )


def check_measures(loss: object, metrics: object) -> None:
    """Check that there is a prediction for the metrics to look at.

    Raises:
        SettingError: the module returns its loss and nothing else.
    """
    if loss is None and metrics:
        raise SettingError(
            f"loss=None and metrics={metrics!r} were passed.",
            "Metrics compare a prediction with labels, and a module that returns its own loss gives the step neither.",
            "Leave metrics out, or pass a loss (prediction, target) -> 0-d tensor.",
        )


def check_company(**pairs: tuple[object, str, object]) -> None:
    """Check that no setting was passed that has no effect without another.

    Args:
        pairs: a setting's name, its value, and the name and the value of the one that it needs.

    Raises:
        SettingError: one is there and the one that it needs is not.
    """
    for name, (value, needed, there) in pairs.items():
        if value is not None and there is None:
            raise SettingError(
                f"{name} was passed without {needed}.",
                f"It says more about {needed}, and has no effect without it.",
                f"Pass {needed} as well, or leave {name} out.",
            )
