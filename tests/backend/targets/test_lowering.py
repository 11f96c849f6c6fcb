from __future__ import annotations

import pytest
import torch

from tessera import torch_internals
from tessera.backend.targets.lowering import check_lowering
from tessera.errors import ExportError
from tests.backend.hand_made import program

aten = torch.ops.aten


@pytest.fixture
def operators():
    """Operators of somebody else: one for the CPU alone, one for CUDA too."""
    with torch.library._scoped_library("tessera_test", "FRAGMENT") as library:
        for name, keys in (("cpu_only", ["CPU"]), ("both", ["CPU", "CUDA"])):
            library.define(f"{name}(Tensor x) -> Tensor")
            for key in keys:
                library.impl(name, lambda x: x.clone(), key)
        torch_internals.has_cuda_kernel.cache_clear()
        yield torch.ops.tessera_test
        torch_internals.has_cuda_kernel.cache_clear()


def test_operators_that_run_everywhere(operators):
    for operator in (
        *(aten.add.Tensor, aten.mm.default, aten.convolution.default, aten.convolution_backward.default),
        *(aten._scaled_dot_product_efficient_attention.default, aten.linalg_eigh.default, aten.sort.stable),
        *(aten.native_batch_norm.default, aten.bernoulli.p, aten.view.default, operators.both.default),
    ):
        assert torch_internals.has_cuda_kernel(operator), operator


def test_operators_of_the_cpu_alone(operators):
    for operator in (
        *(aten.histogram.bin_ct, aten._scaled_dot_product_flash_attention_for_cpu.default),
        *(aten.mkldnn_linear.default, operators.cpu_only.default),
    ):
        assert not torch_internals.has_cuda_kernel(operator), operator


def test_the_error_names_operator_and_line():
    made = program(lambda a: (aten.histogram.bin_ct(a, 4)[0],), torch.randn(8))
    (node,) = made.graph.find_nodes(op="call_function", target=aten.histogram.bin_ct)
    node.meta["stack_trace"] = 'File "/home/me/model.py", line 7, in forward'
    with pytest.raises(ExportError) as raised:
        check_lowering(node)
    assert str(raised.value) == (
        "aten.histogram.bin_ct at /home/me/model.py:7 has no implementation for CUDA. "
        "Every operation of what is emitted has to run on the device. "
        "Register one (torch.library.register_kernel with the device type 'cuda'), or write it with others.\n"
        "  at /home/me/model.py:7"
    )
