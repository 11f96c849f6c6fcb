"""Which rule is asked about which operation. The first answer is what the error says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.rules.arguments import count, kind, no_forward
from tessera.explain.rules.attention import attention, multihead
from tessera.explain.rules.attributes import missing
from tessera.explain.rules.autograd import gradient, none_gradient
from tessera.explain.rules.broadcasting import elementwise
from tessera.explain.rules.conversions import to_python, unpacking
from tessera.explain.rules.convolution import convolution, pooling
from tessera.explain.rules.devices import apart
from tessera.explain.rules.dtypes import mixed, untaken
from tessera.explain.rules.indexing import along_dim, embedding, mask, subscript
from tessera.explain.rules.joining import join
from tessera.explain.rules.losses import cross_entropy, same_shape
from tessera.explain.rules.normalisation import batch_norm, group_norm, layer_norm
from tessera.explain.rules.products import bilinear, einsum, linear, product
from tessera.explain.rules.recurrent import recurrent
from tessera.explain.rules.reshaping import expand, named_dim, permute, pieces, reshape

Rule = Callable[[Failure, Operation], Explanation | None]

_BY_NAME: dict[str, Rule] = {
    "matmul imatmul mm bmm mv dot vdot inner addmm baddbmm addmv": product,
    "linear": linear,
    "bilinear": bilinear,
    "einsum": einsum,
    (
        "add sub mul div true_divide truediv floordiv floor_divide mod remainder fmod pow eq ne lt le gt ge maximum "
        "minimum fmax fmin atan2 logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor and_ or_ xor "
        "hypot logaddexp where addcmul addcdiv lerp add_ sub_ mul_ div_ copy_ pow_ iadd isub imul itruediv ipow iop "
        "subtract multiply divide isclose broadcast_tensors "
    ): elementwise,
    "cat concat concatenate stack hstack vstack dstack column_stack": join,
    "view reshape": reshape,
    "expand repeat tile": expand,
    "permute": permute,
    "split split_with_sizes unflatten tensor_split": pieces,
    "embedding Embedding": embedding,
    (
        "gather index_select scatter scatter_ scatter_add scatter_add_ select index_add index_add_ index_copy "
        "index_copy_ "
    ): along_dim,
    "getitem setitem": subscript,
    "masked_fill masked_fill_ masked_select": mask,
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d": convolution,
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d": pooling,
    "layer_norm rms_norm": layer_norm,
    "batch_norm BatchNorm1d BatchNorm2d BatchNorm3d instance_norm": batch_norm,
    "group_norm": group_norm,
    "scaled_dot_product_attention": attention,
    "MultiheadAttention": multihead,
    "LSTM GRU RNN LSTMCell GRUCell RNNCell": recurrent,
    "cross_entropy nll_loss cross_entropy_loss nll_loss_nd CrossEntropyLoss NLLLoss": cross_entropy,
    (
        "mse_loss l1_loss smooth_l1_loss huber_loss kl_div binary_cross_entropy binary_cross_entropy_with_logits "
    ): same_shape,
}
_SPECIFIC: dict[str, Rule] = {name: rule for names, rule in _BY_NAME.items() for name in names.split()}


def explanation_of(failure: Failure) -> Explanation | None:
    """What is wrong, from the innermost operation outwards; None where no rule knows."""
    for answer in _answers(failure):
        if answer is not None:
            return answer
    return None


def _answers(failure: Failure) -> Iterator[Explanation | None]:
    last = failure.operations[-1] if failure.operations else None
    yield gradient(failure, last)
    yield no_forward(failure)
    yield none_gradient(failure, last)
    yield missing(failure, last)
    for general in (count, kind, to_python, unpacking):
        for operation in failure.operations or [None]:  # type: ignore[list-item]
            yield general(failure, operation)
    for operation in failure.operations:
        yield apart(failure, operation)
    for operation in failure.operations:
        if rule := _SPECIFIC.get(operation.name):
            yield rule(failure, operation)
        yield mixed(failure, operation)
        yield named_dim(failure, operation)
    for operation in failure.operations:
        yield untaken(failure, operation)
