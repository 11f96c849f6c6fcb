"""Which buffers of a model are key-value caches: found by calling it.

A cache keeps what it is given: behind a call each of its rows is one that it held before, or one that does not depend
on what it held. A buffer whose rows are computed from what they were, as the state of a recurrent model or a moving
average, would be rounded again and again, and stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from tessera.errors import QuantizeError
from tessera.quantize.cache import CACHE_FORMATS
from tessera.quantize.calibration import call
from tessera.quantize.formats import format_named
from tessera.quantize.rule import Rule, assign
from tessera.quantize.state import changed_by, same_bits, state_kept
from tessera.train.batches import Batch
from tessera.train.inference import inference

_COMPUTED = "a call computes its rows from what they were: they would be rounded again and again"


def choose_caches(
    module: torch.nn.Module, kv_cache: str | None, rules: Sequence[Rule], batches: Sequence[Batch]
) -> tuple[dict[str, str], dict[str, str]]:
    """The formats of caches by their paths, and why other buffers that a call changes stay.

    Args:
        kv_cache: the format of all caches that no rule matches.
        rules: those with ``cache``.
        batches: the first is what the model is called with to find caches.

    Raises:
        QuantizeError: a rule matches no buffer, or one that is no cache; ``kv_cache`` without a batch, or without a
            cache in the model.
    """
    buffers = dict(module.named_buffers())
    shared = _shared(module)
    ruled = assign(rules, list(buffers), "buffer") if rules else {}
    for path, rule in ruled.items():
        if not buffers[path].is_floating_point() or buffers[path].ndim < 2:
            raise QuantizeError(
                f"{rule} matches the buffer {path!r}, {buffers[path].dtype} of shape {list(buffers[path].shape)}.",
                "A cache has rows of floating point numbers, one for each token and head.",
                "Make the pattern narrower: it is searched anywhere in the path of a buffer.",
            )
        if path in shared:
            raise QuantizeError(
                f"{rule} matches the buffer {path!r}, whose memory another parameter or buffer has as well.",
                "A cache is written under one name: codes under one would not follow what is written under the other.",
                "Give each buffer a tensor of its own, such as by .clone().",
            )
    chosen = {path: str(rule.cache) for path, rule in ruled.items()}
    if kv_cache is None:
        return chosen, {}
    format_named(kv_cache, CACHE_FORMATS)
    if not batches:
        raise QuantizeError(
            f"kv_cache={kv_cache!r} was passed without calibration data.",
            "Caches are the buffers that a call writes rows into, so the model has to be called.",
            "Pass calibration_data=[...], the calls of a generation in their order; or name the buffers, such as "
            f"rules=[Rule('k_cache|v_cache', cache={kv_cache!r})].",
        )
    found, left_alone = _found(module, batches[0])
    left_alone |= {path: "another parameter or buffer has its memory as well" for path in found if path in shared}
    found = [path for path in found if path not in shared]
    if not found and not chosen:
        changing = ", ".join(f"{path} ({why})" for path, why in left_alone.items())
        raise QuantizeError(
            f"kv_cache={kv_cache!r} was passed, and {type(module).__name__} keeps no keys and values in buffers"
            + (f": {changing}." if changing else ": a call changes none of them."),
            "A cache is a floating point buffer [..., channels] in which a call writes whole rows.",
            "Leave kv_cache out where the cache is an argument of the model: it is quantized by whoever passes it.",
        )
    return dict.fromkeys(found, kv_cache) | chosen, {
        path: why for path, why in left_alone.items() if path not in chosen
    }


def _found(module: torch.nn.Module, batch: Batch) -> tuple[list[str], dict[str, str]]:
    caches, left_alone = [], {}
    with inference(module):
        changed = changed_by(module, lambda: call(module, batch))
        for path, after in changed.items():
            if not after.is_floating_point() or after.ndim < 2:
                continue
            with state_kept(module):
                buffer = module.get_buffer(path)
                buffer.add_(_noise(buffer))
                before = buffer.clone()
                call(module, batch)
                other = module.get_buffer(path)
                if other.shape == after.shape and _keeps_rows(before, after, other):
                    caches.append(path)
                else:
                    left_alone[path] = _COMPUTED
    return caches, left_alone


def _shared(module: torch.nn.Module) -> set[str]:
    """Buffers whose memory is that of another one, or of a parameter."""
    tensors = [
        *module.named_buffers(remove_duplicate=False),
        *((name, value.detach()) for name, value in module.named_parameters(remove_duplicate=False)),
    ]
    places = [(name, value.untyped_storage().data_ptr()) for name, value in tensors if value.numel()]
    count = Counter(place for _, place in places)
    return {name for name, place in places if count[place] > 1}


def _noise(like: torch.Tensor) -> torch.Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0)).to(like)


def _keeps_rows(before: torch.Tensor, after: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether each row of ``other`` is one of ``before``, or does not depend on it: it is that of ``after``."""
    if before.shape == other.shape and same_bits(before, other):
        return False  # nothing is written, so nothing is known
    new = (other == after).all(-1)
    held = {row.tobytes() for row in _rows(before)}
    return all(row.tobytes() in held for row in _rows(other[~new]))


def _rows(values: torch.Tensor) -> np.ndarray:
    return values.double().reshape(-1, values.shape[-1]).cpu().numpy()
