"""What a loss by name asks of a prediction and its target before it computes anything."""

from __future__ import annotations

import torch

from tessera.errors import BatchError, LabelError, LossError

IGNORED = -100  # a class number that counts nowhere, as in torch


def check_tensors(prediction: object, target: object) -> None:
    """Refuse what is no tensor, and a batch without samples.

    Raises:
        LossError, LabelError: the prediction or the target is no tensor.
        BatchError: there are no samples.
    """
    if not isinstance(prediction, torch.Tensor):
        raise LossError(
            f"The model returned a {type(prediction).__name__}.",
            "A loss by name compares one tensor with the target.",
            "Write loss=lambda prediction, target: ... to take the tensor out of it.",
        )
    if not isinstance(target, torch.Tensor):
        raise LabelError(
            f"The target is a {type(target).__name__}.",
            "A loss by name takes the target as a tensor.",
            "Write torch.as_tensor(target).",
        )
    if prediction.numel() == 0:
        raise BatchError(
            f"The prediction has shape {list(prediction.shape)}: the batch has no samples.",
            "A loss by name is a mean over samples, and the mean of none is NaN.",
            "Leave empty batches out, for example with `if len(labels):` before the step.",
        )


def alike(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both in their common dtype, once their shapes agree: torch would broadcast ``[n, 1]`` against ``[n]``.

    Raises:
        LabelError: the shapes differ.
    """
    check_tensors(prediction, target)
    if prediction.shape != target.shape:
        raise LabelError(
            f"The prediction has shape {list(prediction.shape)}, the target {list(target.shape)} {target.dtype}.",
            "This loss compares them number by number, so they have one shape.",
            _in_one_shape(prediction, target),
        )
    dtype = torch.promote_types(prediction.dtype, target.dtype)
    return prediction.to(dtype), target.to(dtype)


def _in_one_shape(prediction: torch.Tensor, target: torch.Tensor) -> str:
    if prediction.numel() == target.numel():
        return "Write target.view_as(prediction), or prediction.squeeze(-1) for one number a sample."
    dim = class_dim(prediction, target)
    if target.shape == prediction.shape[:dim] + prediction.shape[dim + 1 :]:
        return 'Write target.long() and loss="cross_entropy" where the targets are class numbers.'
    return "Let the model return one number for each number of the target."


def class_dim(prediction: torch.Tensor, target: torch.Tensor) -> int:
    """Where the classes are: last in ``[batch, seq, classes]`` with class numbers ``[batch, seq]``, else torch's 1."""
    last = prediction.ndim == 3 and prediction.shape[:-1] == target.shape
    return 2 if last else min(1, max(prediction.ndim - 1, 0))


def by_class(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction and class numbers in torch's layout; a sequence becomes one long batch.

    Raises:
        LabelError: these are no class numbers for such a prediction.
    """
    check_tensors(prediction, target)
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise LabelError(
            f"The target has dtype {target.dtype}.",
            "Classes are numbered 0, 1, 2, ... by an integer tensor.",
            'Write target.long(), or loss="bce_with_logits" for yes-or-no targets.',
        )
    dim = class_dim(prediction, target)
    classes = prediction.shape[dim] if prediction.ndim else 1
    without = (*prediction.shape[:dim], *prediction.shape[dim + 1 :])
    if classes < 2 or target.shape != without:
        raise LabelError(
            f"The prediction has shape {list(prediction.shape)}, the target {list(target.shape)} {target.dtype}.",
            "Integer targets number the two or more classes of a prediction [batch, classes] or [batch, seq, classes].",
            _as_class_numbers(prediction, target, dim),
        )
    if dim == 2:
        prediction, target = prediction.flatten(0, 1), target.flatten()
    return prediction, target.long()


def _as_class_numbers(prediction: torch.Tensor, target: torch.Tensor, dim: int) -> str:
    if prediction.ndim > 1 and prediction.shape[dim] > 1:
        if target.shape == prediction.shape:
            where = dim if prediction.ndim == 2 else "dim"
            return (
                f'Write target.argmax({where}) for one class of several, or loss="bce_with_logits" for yes-or-no each.'
            )
        if target.ndim > 1 and target.shape[-1] == 1 and target.shape[:-1] == prediction.shape[:-1]:
            return "Write target.squeeze(-1)."
    return 'Write loss="bce_with_logits" for one yes-or-no output, or target.float() and loss="mse" for numbers.'
