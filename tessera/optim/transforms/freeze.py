"""Parameters that stay as they are."""

from __future__ import annotations

import torch

from tessera.optim.around import Around
from tessera.optim.keywords import names_checked
from tessera.optim.partition import Mask, all_others, check_mask, partition
from tessera.optim.transformation import identity, stateless


@names_checked
def freeze(mask: Mask) -> Around:
    r"""Leave the parameters that ``mask`` fits as they are, without state and without weight decay.

    It acts on the whole chain it stands in, wherever it stands: no member sees their gradients, a global norm neither.
    A parameter with ``requires_grad_(False)`` costs no gradient either; this is for choosing by name, and for
    freezing in an optimizer what the loss still differentiates.

    Args:
        mask: a regular expression found in the name, or a function of the parameter; see `Mask`.

    Raises:
        OptimizerError: ``mask`` is no regular expression and no function.

    Example:
        >>> from tessera.optim import Optimizer, adamw, chain
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
        >>> optimizer = Optimizer(model, chain(adamw(1e-3), freeze(r"^0\.")))
        >>> before = model[0].weight.clone()
        >>> _ = optimizer.step(model(torch.ones(1, 2)).sum())
        >>> torch.equal(model[0].weight, before)
        True
    """
    check_mask("freeze()", mask)
    return Around.of(identity(), [lambda inner: partition([(mask, _still), (all_others(mask), inner)])])


_still = stateless(lambda grad, _: torch.zeros_like(grad))
