"""``tessera.dropout``: dropout without a module, a key or a flag to carry."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tessera.errors import LayerError
from tessera.nn.running import training_mode


def dropout(x: torch.Tensor, p: float = 0.5, training: bool | None = None) -> torch.Tensor:
    """Set elements to zero with probability ``p`` and scale the others by 1 / (1 - p) (Srivastava et al., 2014).

    Random numbers are torch's: ``torch.manual_seed`` repeats them, and the generator moves on by itself.

    Args:
        x: floating point, of any shape.
        p: from 0 to 1.
        training: False returns ``x`` as it is. None takes the mode of the innermost module or ``tessera.function``
            that runs, True outside of all.

    Returns:
        A tensor of the shape and dtype of ``x``.

    Raises:
        LayerError: ``p`` is not from 0 to 1.
    """
    if not 0 <= p <= 1:
        raise LayerError(
            f"dropout was given p={p!r}.",
            "It is the probability of an element to become zero, from 0 to 1.",
            "Write for example tessera.dropout(x, 0.1).",
        )
    return F.dropout(x, p, training_mode() if training is None else training)
