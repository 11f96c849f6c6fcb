"""What a batch is, whatever container it comes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import torch

from tessera.errors import BatchError

LABEL_KEYS = ("labels", "label", "targets", "target", "y")
INPUT_ATTRIBUTES = ("images", "inputs")
WEIGHT_KEY = "sample_weight"

_EXPECTED = (
    "A batch is (inputs, labels), (input_1, input_2, ..., labels), a dict with a key 'labels' or 'target', "
    "or an object with .images or .inputs and .labels or .targets."
)


@dataclass(slots=True)
class Batch:
    """The tensors of one training step.

    Attributes:
        inputs: what the model is called with, in order.
        target: what the loss gets beside the prediction: a tensor, or a tuple or dict of tensors. None for a module
            that returns its own loss and takes the labels as inputs.
        names: the keyword of each input; empty when they are positional.
        weight: of each sample in the loss, ``[batch]``; None: all alike.
    """

    inputs: tuple[torch.Tensor, ...]
    target: Any
    names: tuple[str, ...] = ()
    weight: torch.Tensor | None = None

    @property
    def positional(self) -> tuple[torch.Tensor, ...]:
        """The inputs to pass by position."""
        return () if self.names else self.inputs

    @property
    def named(self) -> dict[str, torch.Tensor]:
        """The inputs to pass by keyword."""
        return dict(zip(self.names, self.inputs, strict=True)) if self.names else {}

    @property
    def labels(self) -> tuple[Any, ...]:
        """What a step gets after the inputs."""
        return _labels(self.target, self.weight)

    def of(self, tensors: Sequence[torch.Tensor]) -> Batch:
        """A batch like this one, of other ``inputs`` and ``labels``; the target is one tensor."""
        count = len(self.inputs)
        target, weight = (*tensors[count:], None, None)[:2]
        return Batch(tuple(tensors[:count]), target, self.names, weight)

    @property
    def size(self) -> int:
        """Samples in the batch: the target's first dimension, 1 for a target without dimensions."""
        first = (
            self.target if isinstance(self.target, torch.Tensor) else next(_tensors(self.labels or self.inputs), None)
        )
        return 1 if first is None or first.dim() == 0 else first.size(0)


@dataclass(slots=True)
class Stack:
    """``steps`` batches of one size for one call of a looped program: every tensor is ``[steps, size, ...]``."""

    inputs: tuple[torch.Tensor, ...]
    target: torch.Tensor | None
    steps: int
    size: int
    names: tuple[str, ...] = ()
    weight: torch.Tensor | None = None

    @property
    def labels(self) -> tuple[torch.Tensor, ...]:
        """What a step gets after the inputs."""
        return _labels(self.target, self.weight)

    def __iter__(self) -> Iterator[Batch]:
        whole = Batch(self.inputs, self.target, self.names, self.weight)
        return map(whole.of, zip(*(t.unbind(0) for t in (*self.inputs, *self.labels)), strict=True))


@dataclass(frozen=True)
class BatchReader:
    """Turns what a user's data yields into batches of tensors.

    Tensors are taken as they are. Arrays, lists and numbers become tensors: floats in the model's own dtype, and
    whole-number labels as int64, since NumPy's default dtypes say nothing about what is meant.

    Attributes:
        dtype: the model's floating dtype.
        device: the model's device; every batch is moved there.
        whole: the model returns its own loss: all of a batch goes to it, and no labels are looked for.
    """

    dtype: torch.dtype
    device: torch.device
    whole: bool = False

    @classmethod
    def of(cls, module: torch.nn.Module, *, whole: bool = False) -> BatchReader:
        """The reader for ``module``."""
        parameters = list(module.parameters())
        floating = (p.dtype for p in parameters if p.is_floating_point())
        device = parameters[0].device if parameters else torch.device("cpu")
        return cls(next(floating, torch.get_default_dtype()), device, whole)

    def read(self, found: object, name: str) -> Batch:
        """The batch in ``found``, on the model's device.

        Args:
            found: one item of the user's data.
            name: what to call it in an error, such as ``"Batch 3 of the training data"``.

        Raises:
            BatchError: it has no labels, no samples, or something no tensor can be made of.
        """
        if isinstance(found, (tuple, list)) and len(found) == 2 and not self.whole:
            x, y = found
            tensors = isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor)
            # What loaders yield, thousands of times a second.
            if tensors and x.device == y.device == self.device and y.dim() and y.size(0):
                return Batch((x,), y)
        batch = self.convert(found, name)
        if batch.size == 0:
            raise BatchError(
                f"{name} has no samples: its {'labels' if batch.labels else 'inputs'} are of shape "
                f"{list(next(_tensors(batch.labels or batch.inputs)).shape)}.",
                "Every batch has at least one sample.",
                "Leave empty batches out of the data, for example with `if len(labels):` before they are yielded.",
            )
        weight = None if batch.weight is None else batch.weight.to(self.device)
        return Batch(
            tuple(t.to(self.device) for t in batch.inputs), _to(batch.target, self.device), batch.names, weight
        )

    def convert(self, found: object, name: str) -> Batch:
        """As ``read``, but left on the device where it is and possibly without samples."""
        if self.whole:
            return self._whole(found, name)
        inputs, target, weight = _split(found, name)
        names: tuple[str, ...] = ()
        if isinstance(inputs, Mapping):
            names, inputs = tuple(inputs), tuple(inputs.values())
        elif not _holds_arrays(inputs):
            inputs = (inputs,)
        target = self._target(target, name)
        return Batch(
            tuple(self._input(x, name) for x in inputs), target, names, self.sample_weight(weight, target, name)
        )

    def sample_weight(self, weight: object, target: Any, name: str) -> torch.Tensor | None:
        """The weights of the samples as a tensor ``[batch]`` of the model's dtype; None for None.

        Raises:
            BatchError: there is not one for each sample, or one is negative or not finite.
        """
        if weight is None:
            return None
        found = (weight if isinstance(weight, torch.Tensor) else self._tensor(weight, name)).to(self.dtype)
        samples = Batch((), target).size
        if found.dim() == 0 or len(found) != samples or not bool(((found >= 0) & found.isfinite()).all()):
            raise BatchError(
                f"{name} has {describe(weight)} as {WEIGHT_KEY}.",
                f"There is one weight for each of the {samples:,} samples: finite and not negative.",
                f"Pass {WEIGHT_KEY} as a tensor or an array of shape [{samples}].",
            )
        return found

    def _whole(self, found: object, name: str) -> Batch:
        if isinstance(found, Mapping):
            given = [self._target(v, name) if k in LABEL_KEYS else self._input(v, name) for k, v in found.items()]
            return Batch(tuple(given), None, tuple(found))
        if isinstance(found, (torch.Tensor, np.ndarray)) or (isinstance(found, list) and not _holds_arrays(found)):
            return Batch((self._input(found, name),), None)
        if isinstance(found, (tuple, list)) and len(found) == 1:
            return Batch((self._input(found[0], name),), None)
        inputs, target, _ = _split(found, name)
        several = inputs if _holds_arrays(inputs) else (inputs,)
        return Batch((*(self._input(x, name) for x in several), self._target(target, name)), None)

    def _input(self, value: object, name: str) -> torch.Tensor:
        return value if isinstance(value, torch.Tensor) else self._tensor(value, name)

    def _target(self, value: object, name: str) -> Any:
        if isinstance(value, torch.Tensor):
            return value
        if isinstance(value, Mapping):
            return {key: self._target(v, name) for key, v in value.items()}
        if _holds_arrays(value):
            return tuple(self._target(v, name) for v in value)
        made = self._tensor(value, name)
        return made if made.is_floating_point() or made.dtype is torch.bool else made.long()

    def _tensor(self, value: object, name: str) -> torch.Tensor:
        try:
            array = np.asarray(value)
            # A copy: torch warns about read-only memory and refuses negative strides.
            tensor = torch.from_numpy(array if array.flags.writeable and array.flags.c_contiguous else array.copy())
        except (TypeError, ValueError, RuntimeError) as error:
            raise BatchError(
                f"{name} holds {describe(value)}, which is no tensor and cannot become one ({error}).",
                "Inputs and labels are tensors, NumPy arrays, or nested lists of numbers of one length.",
                "Turn it into a tensor before it is yielded, for example in the `collate_fn` of the DataLoader.",
            ) from error
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor


def _split(found: object, name: str) -> tuple[Any, Any, Any]:
    """Inputs, labels and the weights of the samples."""
    if isinstance(found, Mapping):
        key = next((key for key in LABEL_KEYS if key in found), None)
        others = {k: v for k, v in found.items() if k not in (key, WEIGHT_KEY)}
        if key is not None and others:
            return others, found[key], found.get(WEIGHT_KEY)
    elif isinstance(found, (tuple, list)):
        if len(found) == 2:
            return found[0], found[1], None
        if len(found) > 2:
            return tuple(found[:-1]), found[-1], None
    else:
        inputs = next((key for key in INPUT_ATTRIBUTES if hasattr(found, key)), None)
        labels = next((key for key in LABEL_KEYS if hasattr(found, key)), None)
        if inputs and labels:
            return getattr(found, inputs), getattr(found, labels), getattr(found, WEIGHT_KEY, None)
    raise BatchError(
        f"{name} is {describe(found)}: it has no labels.",
        _EXPECTED,
        "Yield the labels beside the inputs, as in `yield inputs, labels`.",
    )


def _holds_arrays(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a tuple or list is several tensors or arrays rather than one in the making."""
    return isinstance(value, (tuple, list)) and any(isinstance(v, (torch.Tensor, np.ndarray)) for v in value)


def describe(value: object) -> str:
    """What ``value`` is, in the words of an error message."""
    if isinstance(value, torch.Tensor):
        return f"a {value.dtype} tensor of shape {list(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {list(value.shape)} and dtype {value.dtype}"
    if isinstance(value, Mapping):
        return f"a dict with the keys {sorted(map(str, value))}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"an object of type {type(value).__name__}"


def _labels(target: Any, weight: torch.Tensor | None) -> tuple[Any, ...]:
    return () if target is None else (target,) if weight is None else (target, weight)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    else:
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(part)


def _to(value: Any, device: torch.device) -> Any:
    if value is None:
        return None
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _to(part, device) for key, part in value.items()}
    return tuple(_to(part, device) for part in value)
