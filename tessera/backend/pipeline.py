"""The page: every pass, in the order in which they run."""

from __future__ import annotations

from tessera.backend.passes.cancel_permutes import CANCEL_PERMUTES
from tessera.backend.passes.chunk_rows import CHUNK_ROWS
from tessera.backend.passes.compile_loops import COMPILE_LOOPS
from tessera.backend.passes.flatten_cross_entropy import FLATTEN_CROSS_ENTROPY
from tessera.backend.passes.fuse_attention import FUSE_ATTENTION
from tessera.backend.passes.fuse_dequantization import FUSE_DEQUANTIZATION
from tessera.backend.passes.gather_updates import GATHER_UPDATES
from tessera.backend.passes.inline_tiny_products import INLINE_TINY_PRODUCTS
from tessera.backend.passes.leave_out_dropout import LEAVE_OUT_DROPOUT
from tessera.backend.passes.lower_precision import LOWER_PRECISION
from tessera.backend.passes.merge_duplicates import MERGE_DUPLICATES
from tessera.backend.passes.merge_projections import MERGE_PROJECTIONS
from tessera.backend.passes.outline_regions import OUTLINE_REGIONS
from tessera.backend.passes.recompute import RECOMPUTE
from tessera.backend.passes.separate_bias import SEPARATE_BIAS
from tessera.backend.passes.settle_scalars import SETTLE_SCALARS
from tessera.backend.passes.stabilise import STABILISE
from tessera.backend.passes.write_out_attention import WRITE_OUT_ATTENTION
from tessera.backend.passes.write_out_complex import WRITE_OUT_COMPLEX

BEFORE_AUTOGRAD = (
    LEAVE_OUT_DROPOUT,  # dropout that drops nothing is its input, and no copy of it
    FUSE_ATTENTION,  # attention in any spelling becomes the fused operator, which has a backward of its own
    STABILISE,  # what is wrong in floating point is spelled as it is right
    FLATTEN_CROSS_ENTROPY,  # classes in the second dimension that lie last in memory are rows of classes
)

PIPELINE = (
    MERGE_DUPLICATES,  # the same computation twice becomes once
    WRITE_OUT_COMPLEX,  # complex numbers become pairs of real ones, which a kernel can hold
    LOWER_PRECISION,  # products take operands of the precision that was asked for
    WRITE_OUT_ATTENTION,  # attention on a CPU becomes products and a softmax
    FUSE_DEQUANTIZATION,  # a weight of small integers is read as such by a product of a few rows
    CANCEL_PERMUTES,  # permutes that undo each other are none
    CHUNK_ROWS,  # what is made of a product that is very wide, logits most of all, is computed for some rows at a time
    MERGE_PROJECTIONS,  # products of one operand become one product, where that is measured to be faster
    GATHER_UPDATES,  # parameters that are updated by the same formula are updated by one kernel
    SETTLE_SCALARS,  # arithmetic on single numbers happens once, not once for every element
    SEPARATE_BIAS,  # the bias of a large product is added by the kernel that follows
    INLINE_TINY_PRODUCTS,  # matrix products too small for a library call join their neighbours' kernels
    COMPILE_LOOPS,  # the turn of a time loop is compiled, once for all loops that are alike
    RECOMPUTE,  # what a memory budget leaves no room for is computed again in the backward
    OUTLINE_REGIONS,  # a block that repeats is compiled once
)
