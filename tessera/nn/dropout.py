"""``tessera.dropout``: dropout without a module, a key or a flag to carry."""

from __future__ import annotations

import torch

from tessera.errors import LayerError
from tessera.nn.running import training_mode
from tessera.random.numbers import bernoulli


def dropout(x: torch.Tensor, p: float = 0.5, training: bool | None = None) -> torch.Tensor:
    """Set elements to zero with probability ``p`` and scale the others by 1 / (1 - p) (Srivastava et al., 2014).

    The mask is a function of a key, and of the place in the tensor: a kernel computes it where it is used, and again in
    the backward. The key is torch's next random number, so ``tessera.seed`` and ``torch.manual_seed`` repeat it.

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
    if p == 0 or not (training_mode() if training is None else training):
        return x
    if p == 1:
        return x * 0.0
    return torch.where(bernoulli(1 - p, x.shape, device=x.device), x / (1 - p), 0.0)


class Dropout(torch.nn.Dropout):
    """``tessera.dropout`` as a layer; arguments and ``training`` are those of ``torch.nn.Dropout``.

    Args:
        p: from 0 to 1.
        inplace: write the result into the input.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        output = dropout(input, self.p, self.training)
        return input.copy_(output) if self.inplace and output is not input else output
