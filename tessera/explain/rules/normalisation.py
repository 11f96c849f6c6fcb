"""Layers that normalise: what they normalise over is not what they were made for."""

from __future__ import annotations

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs
from tessera.explain.values import layer, shape


def layer_norm(failure: Failure, operation: Operation) -> Explanation | None:
    """Last dims that are not ``normalized_shape``."""
    x, sizes = operation.values.get("input"), operation.values.get("normalized_shape")
    if not isinstance(x, torch.Tensor) or not isinstance(sizes, tuple | list):
        return None
    wanted = tuple(sizes)
    if tuple(x.shape[x.dim() - len(wanted) :]) == wanted and x.dim() >= len(wanted):
        return None
    name = failure.name(operation, "input")
    kind = "RMSNorm" if "rms" in operation.name else "LayerNorm"
    own = failure.layer if isinstance(failure.layer, torch.nn.LayerNorm | torch.nn.RMSNorm) else None
    place = f"  # for {failure.path}" if failure.path and own is not None else ""
    fixes = repairs(failure, operation, ("input",))
    last = list(x.shape[max(x.dim() - len(wanted), 0) :])
    anew = f"nn.{kind}({last[0] if len(last) == 1 else last}){place}" if last else f"{name}.unsqueeze(0)"
    return Explanation(
        "Shape Error",
        f"{name}: {shape([..., *wanted])}"
        + (f", for {list(wanted)} is normalized_shape of {layer(own)}" if own is not None else ""),
        failure.received(operation, "input"),
        f"{kind} normalises over the last {len(wanted)} dim{'s' if len(wanted) > 1 else ''}, "
        f"{last} here, and was made for {list(wanted)}.",
        [*fixes[:1], anew, *fixes[1:]],
    )


def batch_norm(failure: Failure, operation: Operation) -> Explanation | None:
    """Channels that are not ``num_features``, a number of dims that the layer does not take, one value per channel."""
    x = operation.values.get("input")
    own = failure.layer
    if not isinstance(x, torch.Tensor):
        return None
    name, said = failure.name(operation, "input"), failure.received(operation, "input")
    kind = type(own).__name__ if own is not None else "batch_norm"
    features = getattr(own, "num_features", None)
    if features is None:
        running = operation.values.get("running_mean")
        features = running.shape[0] if isinstance(running, torch.Tensor) else None
    dims = {"1d": (2, 3), "2d": (4,), "3d": (5,)}.get(kind[-2:]) if kind.startswith("BatchNorm") else None
    if dims and x.dim() not in dims:
        fixes = [f"nn.BatchNorm{x.dim() - 2 if x.dim() > 2 else 1}d({features})"] if 2 <= x.dim() <= 5 else []
        fixes += [f"{name}.flatten(1)"] if kind.endswith("1d") and x.dim() > 3 else [f"{name}.unsqueeze(0)"]
        why = f"{kind} takes {' or '.join(map(str, dims))} dims, and {name} has {x.dim()}."
        return Explanation("Shape Error", f"{name} with {' or '.join(map(str, dims))} dims", said, why, fixes)
    if features is not None and x.dim() > 1 and x.shape[1] != features:
        place = f"  # for {failure.path}" if failure.path else ""
        fixes = [f"nn.{kind}({x.shape[1]}){place}"] if kind.startswith(("Batch", "Instance")) else []

        def fits(**edited: torch.Tensor) -> bool:
            return edited.get("input", x).dim() == x.dim() and edited.get("input", x).shape[1] == features

        turned = repairs(failure, operation, ("input",), fits)
        return Explanation(
            "Shape Error",
            f"{name}: {shape(['batch', features, *(['...'] if x.dim() > 2 else [])])}".replace('"..."', "..."),
            said,
            f"Dim 1 of {name} holds its channels, {x.shape[1]}, and {kind} was made for {features}.",
            [*fixes, *turned],
        )
    if "more than 1 value per channel" in failure.message:
        return Explanation(
            "Shape Error",
            f"{name} with more than one value for each channel",
            said,
            "In training the mean and variance of each channel are taken over the batch, and there is one value only.",
            ["drop_last=True  # in the DataLoader, when the last batch has one sample", "model.eval()  # to predict",
             "nn.GroupNorm or nn.LayerNorm, which look at one sample"],
        )  # fmt: skip
    return None


def group_norm(failure: Failure, operation: Operation) -> Explanation | None:
    """Channels that do not part into the groups, or are not those of the weight."""
    x, groups = operation.values.get("input"), operation.values.get("num_groups")
    weight = operation.values.get("weight")
    if not isinstance(x, torch.Tensor) or not isinstance(groups, int) or x.dim() < 2:
        return None
    name, said, channels = failure.name(operation, "input"), failure.received(operation, "input"), x.shape[1]
    if isinstance(weight, torch.Tensor) and weight.shape[0] != channels:
        made = weight.shape[0]
        why = f"Dim 1 of {name} holds its channels, {channels}, and the layer was made for {made}."
        fixes = [f"nn.GroupNorm({groups}, {channels})", f"{name}.transpose(1, -1)"]
        return Explanation("Shape Error", f"{name}: {shape(['batch', made])[:-1]}, ...]", said, why, fixes)
    if channels % groups:
        good = [n for n in range(groups, 0, -1) if channels % n == 0][:2]
        why = f"{channels} channels do not part into {groups} groups of equal size."
        return Explanation(
            "Shape Error",
            f"channels in a multiple of {groups}",
            said,
            why,
            [f"nn.GroupNorm({n}, {channels})" for n in good],
        )
    return None
