"""A loss before its mean: what it adds up, and what it divides by."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from tessera.errors import LossError
from tessera.nn.losses.auto import auto_loss
from tessera.nn.losses.binary import bce, bce_with_logits, sigmoid_focal
from tessera.nn.losses.class_weight import ClassWeight
from tessera.nn.losses.classification import cross_entropy, focal, label_counts, nll
from tessera.nn.losses.names import LOSSES, LossFunction
from tessera.nn.losses.shapes import IGNORED, check_tensors, class_dim

# Torch's losses of (prediction, target): the function behind each module, and what the module passes to it.
_MODULES: dict[type[torch.nn.Module], tuple[Callable[..., torch.Tensor], tuple[str, ...]]] = {
    torch.nn.CrossEntropyLoss: (F.cross_entropy, ("weight", "ignore_index", "label_smoothing")),
    torch.nn.NLLLoss: (F.nll_loss, ("weight", "ignore_index")),
    torch.nn.BCELoss: (F.binary_cross_entropy, ("weight",)),
    torch.nn.BCEWithLogitsLoss: (F.binary_cross_entropy_with_logits, ("weight", "pos_weight")),
    torch.nn.MSELoss: (F.mse_loss, ()),
    torch.nn.L1Loss: (F.l1_loss, ()),
    torch.nn.SmoothL1Loss: (F.smooth_l1_loss, ("beta",)),
    torch.nn.HuberLoss: (F.huber_loss, ("delta",)),
    torch.nn.KLDivLoss: (F.kl_div, ("log_target",)),
    torch.nn.PoissonNLLLoss: (F.poisson_nll_loss, ("log_input", "full", "eps")),
    torch.nn.SoftMarginLoss: (F.soft_margin_loss, ()),
    torch.nn.HingeEmbeddingLoss: (F.hinge_embedding_loss, ("margin",)),
    torch.nn.MultiMarginLoss: (F.multi_margin_loss, ("p", "margin", "weight")),
    torch.nn.MultiLabelMarginLoss: (F.multilabel_margin_loss, ()),
    torch.nn.MultiLabelSoftMarginLoss: (F.multilabel_soft_margin_loss, ("weight",)),
}
_OURS = tuple(LOSSES.values())
_KNOWN = (*_OURS, *(function for function, _ in _MODULES.values()))
_BY_CLASS = (auto_loss, cross_entropy, nll, focal, F.cross_entropy, F.nll_loss)
_BINARY = (bce, bce_with_logits, sigmoid_focal, F.binary_cross_entropy, F.binary_cross_entropy_with_logits)


class Terms(NamedTuple):
    """The mean is ``sum(values) / sum(counts)``.

    Attributes:
        values: ``[batch, ...]``, class weights multiplied in.
        counts: what each stands for, of the same shape: 1, or the weight of its class; None: one each.
    """

    values: torch.Tensor
    counts: torch.Tensor | None


@dataclass(frozen=True)
class SeparableLoss:
    """A loss by name or of torch's, taken apart; a module of torch's is asked for its settings at every call.

    Attributes:
        loss: as the user passed it.
        function: what computes it, with ``reduction`` as in torch.
    """

    loss: LossFunction
    function: Callable[..., torch.Tensor]
    _given: Mapping[str, Any] = field(default_factory=dict)
    _attributes: tuple[str, ...] = ()

    @classmethod
    def of(cls, loss: LossFunction) -> SeparableLoss | None:
        """``loss`` taken apart; None where it is neither by name nor torch's, so that nobody knows its parts."""
        if isinstance(loss, functools.partial):
            # Other losses of torch's divide by their weights, which only they can tell.
            weighted = "weight" in loss.keywords and loss.func not in (*_BY_CLASS, *_BINARY)
            apart = not loss.args and not weighted and _is_known(loss.func)
            return cls(loss, loss.func, loss.keywords) if apart else None
        if isinstance(loss, torch.nn.Module):
            for kind, (function, attributes) in _MODULES.items():
                if isinstance(loss, kind) and type(loss).forward is kind.forward:
                    return cls(loss, function, _attributes=(*attributes, "reduction"))
            return None
        return cls(loss, loss) if _is_known(loss) else None

    def check_class_weight(self) -> None:
        """Refuse class weights where the loss has none, or its own.

        Raises:
            LossError: likewise.
        """
        settings = self._settings()
        own = any(settings.get(name) is not None for name in ("weight", "pos_weight"))
        if own or self.function not in (*_BY_CLASS, *_BINARY):
            names = ", ".join(name for name, function in LOSSES.items() if function in (*_BY_CLASS, *_BINARY))
            raise LossError(
                f"class_weight was passed with the loss {self.name}{', which has weights of its own' if own else ''}.",
                f"Classes are weighed once, by {names}, or torch's losses of these kinds.",
                "Take the weights out of the loss." if own else "Weigh the samples instead, with sample_weight.",
            )

    def terms(self, prediction: Any, target: Any, class_weight: ClassWeight | None = None) -> Terms:
        """The losses of a batch.

        Class weights are torch's: a value carries the weight of its class and counts with it; of targets that are
        probabilities of classes each counts one. For yes or no, a target y is the share y of class 1 and the share
        1 - y of class 0.
        """
        check_tensors(prediction, target)
        settings = self._settings()
        per_sample = settings.pop("reduction", "mean") == "batchmean"
        if class_weight is not None and self.function in _BY_CLASS:
            settings["weight"] = class_weight.tensor(self._classes(prediction, target), prediction)
        each = functools.partial(self.function, **settings, reduction="none")
        if class_weight is not None and self.function in _BINARY:
            yes = target.to(prediction.dtype)
            no_weight, yes_weight = class_weight.tensor(2, prediction).unbind()
            no_count, yes_count = (1 - yes) * no_weight, yes * yes_weight
            no, positive = each(prediction, torch.zeros_like(yes)), each(prediction, torch.ones_like(yes))
            return Terms(no_count * no + yes_count * positive, no_count + yes_count)
        values = each(prediction, target)
        if per_sample and values.ndim > 1:
            values = values.flatten(1).sum(1)
        if self.function not in _BY_CLASS or target.is_floating_point():
            return Terms(values, None)
        ignored = settings.get("ignore_index", IGNORED)
        return Terms(values, label_counts(target.long(), settings.get("weight"), values.dtype, ignored))

    @property
    def reduction(self) -> str:
        """What the loss itself makes of its terms: ``"mean"`` or ``"sum"``.

        Raises:
            LossError: it leaves them as they are.
        """
        found = self._settings().get("reduction", "mean")
        if found == "none":
            raise LossError(
                f"The loss {self.name} has reduction='none'.",
                "A training step needs one number, the mean or the sum over the samples.",
                "Write reduction='mean', the default; the samples are weighed before the mean.",
            )
        return "sum" if found == "sum" else "mean"

    @property
    def name(self) -> str:
        """What errors call it."""
        return getattr(self.loss, "__name__", type(self.loss).__name__)

    def _settings(self) -> dict[str, Any]:
        return {**self._given, **{name: getattr(self.loss, name) for name in self._attributes}}

    def _classes(self, prediction: torch.Tensor, target: torch.Tensor) -> int:
        dim = class_dim(prediction, target) if self.function in _OURS else min(1, max(prediction.ndim - 1, 0))
        return prediction.shape[dim] if prediction.ndim else 1


def _is_known(loss: object) -> bool:
    return any(loss is function for function in _KNOWN)  # by identity: a user's own may have no hash
