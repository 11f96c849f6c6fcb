"""Layers as functions inside a ``tessera.function``: sizes are those of what they are given, parameters are kept.

Each makes its ``torch.nn`` layer in the first call, on the device of ``x``, and in its dtype where that is a floating
one and no autocast is on, else in torch's default dtype. A name is the key of the layer in the ``state_dict``: the
function's own, numbered (``linear``, ``linear_1``), or ``name``.

All raise ``LayerError`` outside of a ``tessera.function``, for sizes that make no layer, and where a later call
differs from the first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tessera.errors import LayerError
from tessera.nn.running import running_call

_Sizes = int | tuple[int, ...]


def linear(x: Tensor, out_features: int, bias: bool = True, *, name: str | None = None) -> Tensor:
    """``x @ weight.T + bias``: ``[..., in]`` to ``[..., out_features]``; see ``torch.nn.Linear``."""
    return _layer("linear", nn.Linear, x, name, _size(x, -1, 1), out_features, bias=bias)(x)


def conv1d(
    x: Tensor,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: _Sizes | str = 0,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    *,
    name: str | None = None,
) -> Tensor:
    """Convolution of ``[batch, channels, length]``; see ``torch.nn.Conv1d``."""
    sizes = (_size(x, -2, 2), out_channels, kernel_size, stride, padding, dilation, groups, bias)
    return _layer("conv1d", nn.Conv1d, x, name, *sizes)(x)


def conv2d(
    x: Tensor,
    out_channels: int,
    kernel_size: _Sizes,
    stride: _Sizes = 1,
    padding: _Sizes | str = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
    bias: bool = True,
    *,
    name: str | None = None,
) -> Tensor:
    """Convolution of ``[batch, channels, height, width]``; see ``torch.nn.Conv2d``."""
    sizes = (_size(x, -3, 3), out_channels, kernel_size, stride, padding, dilation, groups, bias)
    return _layer("conv2d", nn.Conv2d, x, name, *sizes)(x)


def embedding(
    x: Tensor, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *, name: str | None = None
) -> Tensor:
    """A row of a table for each index: ``[...]``, whole numbers, to ``[..., embedding_dim]``; see ``torch.nn``."""
    return _layer("embedding", nn.Embedding, x, name, num_embeddings, embedding_dim, padding_idx)(x)


def layer_norm(
    x: Tensor, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True, *, name: str | None = None
) -> Tensor:
    """Mean 0 and variance 1 over the last dim (Ba et al., 2016); see ``torch.nn.LayerNorm``."""
    return _layer("layer_norm", nn.LayerNorm, x, name, _size(x, -1, 1), eps, elementwise_affine, bias)(x)


def rms_norm(
    x: Tensor, eps: float | None = None, elementwise_affine: bool = True, *, name: str | None = None
) -> Tensor:
    """Mean square 1 over the last dim (Zhang and Sennrich, 2019); see ``torch.nn.RMSNorm``."""
    return _layer("rms_norm", nn.RMSNorm, x, name, _size(x, -1, 1), eps, elementwise_affine)(x)


def batch_norm(
    x: Tensor,
    eps: float = 1e-5,
    momentum: float | None = 0.1,
    affine: bool = True,
    track_running_stats: bool = True,
    *,
    name: str | None = None,
) -> Tensor:
    """Mean 0 and variance 1 for each channel, dim 1 of 2 to 5 (Ioffe and Szegedy, 2015); see ``torch.nn``.

    The running averages are used where the function, or the module around, is in eval mode.
    """
    kind = {4: nn.BatchNorm2d, 5: nn.BatchNorm3d}.get(x.dim(), nn.BatchNorm1d)
    return _layer("batch_norm", kind, x, name, _size(x, 1, 2), eps, momentum, affine, track_running_stats)(x)


def _layer(written: str, kind: type[nn.Module], x: Tensor, name: str | None, *sizes: Any, **named: Any) -> nn.Module:
    call = running_call()
    if call is None:
        raise LayerError(
            f"tessera.nn.{written} was called outside of a tessera.function.",
            "Its parameters belong to the function that it is called in.",
            f"Write @tessera.function above the def, or make a tessera.nn.{kind.__name__} and call it.",
        )

    def make() -> nn.Module:
        autocast = torch.is_autocast_enabled(x.device.type)
        dtype = x.dtype if x.is_floating_point() and not autocast else torch.get_default_dtype()
        try:
            return kind(*sizes, **named, device=x.device, dtype=dtype)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise LayerError(
                f"tessera.nn.{written} was given {', '.join(map(str, (*sizes, *named.values())))}.",
                f"torch says: {str(error).splitlines()[0].rstrip('.')}.",
                f"Write sizes that a torch.nn.{kind.__name__} can be made with.",
            ) from error

    return call.layer(written, name, (*sizes, *named.values()), make)


def _size(x: Tensor, dim: int, dims: int) -> int:
    """The size of ``x`` along ``dim``, which takes at least ``dims`` dims."""
    if x.dim() < dims:
        raise LayerError(
            f"A layer was given a tensor of shape {list(x.shape)}.",
            f"It takes at least {dims} dims.",
            "Write x.unsqueeze(0) for one sample, x.view(batch, ...) for another layout.",
        )
    return x.shape[dim]
