"""Layers and losses that are one operation."""

from __future__ import annotations

import math

from tessera.backend.ranges.question import Question, Rule
from tessera.backend.ranges.value_range import INF, TOP, Range, number, union


def _normalised(q: Question) -> tuple[Range, ...]:
    """Layer, group and batch norm: mean 0 and variance 1, then scaled and moved by what is trained."""
    weight = q.argument(2, "weight") if "layer" in str(q.node.target) else q.argument(1, "weight")
    statistics = Range(), Range(0.0, INF)
    if weight is None or "batch" in str(q.node.target):
        return Range(reached=(-1.0, 1.0)), *statistics
    return Range(reached=(-1.0, 1.0)), *statistics


def _dropped(q: Question) -> tuple[Range, ...]:
    probability = q.argument(1, "p", 0.5)
    scale = 1 / (1 - probability) if isinstance(probability, float) and probability < 1 else 1.0
    x = q.x
    kept = union([Range(x.low * scale, x.high * scale, None, x.size), number(0.0)])
    return kept.changed(rows=x.rows.bounds().scaled(scale)), Range(0.0, 1.0, (0.0, 1.0), integer=True)


def _looked_up(q: Question) -> Range:
    """Embeddings: some rows of the table."""
    table = q.x
    return Range(table.low, table.high, table.reached or ((-1.0, 1.0) if table.parameter else None), table.size)


def _not_negative(_: Question) -> Range:
    return Range(0.0, INF, None, 1.0)


def _loss_and_more(q: Question) -> tuple[Range, ...]:
    """The loss of log-probabilities: as far up as the least of them is down."""
    x = q.x
    return Range(-x.high if x.high < INF else -INF, -x.low, None, x.size), TOP


def _pooled(q: Question) -> Range:
    return q.x.plain()


def _averaged(q: Question) -> Range:
    """Average pooling, with zeros at the border."""
    x = q.x
    return Range(min(x.low, 0.0), max(x.high, 0.0), x.reached, x.size)


def _pooled_and_places(q: Question) -> tuple[Range, ...]:
    return q.x.plain(), Range(0.0, INF, integer=True)


def _one_hot(_: Question) -> Range:
    return Range(0.0, 1.0, (0.0, 1.0), 1.0, integer=True)


def _counted(_: Question) -> Range:
    return Range(0.0, INF, (0.0, 1.0), 1.0, integer=True)


def _scattered(q: Question) -> Range:
    """scatter, index_put and their like: values of either."""
    value = q.argument(3, "value")
    source = q.range_of(value if value is not None else q.argument(3, "src"))
    if "index_put" in str(q.node.target):
        source = q.range(2)
    if "add" in str(q.node.target) or q.argument(3, "accumulate") is True:
        x = q.x
        low = 0.0 if x.low >= 0 and source.low >= 0 else -INF
        reached = (0.0, 1.0) if x.exact == 0 and source.low >= 0 else None
        return Range(low, INF, reached, max(x.size, source.size))
    return union([q.x.plain(), source.plain()])


def _distance_loss(q: Question) -> Range:
    return Range(0.0, INF, (0.0, 1.0) if not (q.x.parameter or q.y.parameter) else None, 1.0)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("native_layer_norm", "native_group_norm", "native_batch_norm"), _normalised),
    **dict.fromkeys(("_native_batch_norm_legit", "_native_batch_norm_legit_no_training"), _normalised),
    **dict.fromkeys(("_native_batch_norm_legit_functional", "_batch_norm_with_update"), _normalised),
    **dict.fromkeys(("cudnn_batch_norm", "_batch_norm_with_update_functional"), _normalised),
    **dict.fromkeys(("mse_loss", "smooth_l1_loss", "huber_loss"), _distance_loss),
    **dict.fromkeys(("nll_loss_forward", "nll_loss2d_forward"), _loss_and_more),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), _averaged),
    **dict.fromkeys(("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d"), _pooled),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d"), _pooled),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d"), _pooled_and_places),
    **dict.fromkeys(("bincount", "histc"), _counted),
    **dict.fromkeys(("scatter", "scatter_add", "index_put", "index_add", "index_copy", "index_fill"), _scattered),
    **dict.fromkeys(("binary_cross_entropy", "multi_margin_loss", "soft_margin_loss"), _not_negative),
    "_fft_r2c": lambda _: TOP,
    "rms_norm": lambda _: Range(reached=(-1.0, 1.0)),
    "native_dropout": _dropped,
    "embedding": _looked_up,
    "one_hot": _one_hot,
    "binary_cross_entropy_with_logits": lambda _: Range(size=math.log(2)),
}
