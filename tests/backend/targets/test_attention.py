from __future__ import annotations

import pytest
import torch
from torch import fx
from torch.nn.functional import scaled_dot_product_attention

from tessera.backend.targets import interpreter
from tessera.backend.targets.retarget import retarget
from tests.backend.hand_made import program

aten = torch.ops.aten
GPU = torch.device("cuda", 0)
EFFICIENT, EFFICIENT_BACKWARD = (
    aten._scaled_dot_product_efficient_attention.default,
    aten._scaled_dot_product_efficient_attention_backward.default,
)


def attention(masked: bool, causal: bool, scale: float | None):
    """Forward and backward of the CPU's fused attention."""

    def both(q, k, v, grad, *mask):
        options = {"attn_mask": mask[0] if masked else None, "scale": scale}
        out, logsumexp = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, **options)
        back = aten._scaled_dot_product_flash_attention_for_cpu_backward
        return out, *back(grad, q, k, v, out, logsumexp, 0.0, causal, **options)

    return both


def inputs_for(shape: tuple[int, ...], keys: int, dtype=torch.float32) -> list[torch.Tensor]:
    other = (*shape[:2], keys, shape[3])
    return [torch.randn(one, dtype=dtype) for one in (shape, other, other, shape)]


class OnTheCPU(fx.Interpreter):
    """Runs a retargeted graph with the device's attention as it is defined."""

    def call_function(self, target, args, kwargs):
        stand_ins = {
            EFFICIENT: interpreter.efficient_attention,
            EFFICIENT_BACKWARD: interpreter.efficient_attention_backward,
        }
        kwargs = {key: "cpu" if key == "device" else value for key, value in kwargs.items()}
        return stand_ins.get(target, target)(*args, **kwargs)


@pytest.mark.parametrize(
    ("shape", "keys", "causal", "scale", "mask"),
    [
        ((2, 3, 16, 8), 16, True, None, None),
        ((1, 2, 5, 16), 5, False, 0.3, None),
        ((2, 2, 6, 8), 21, False, None, (6, 21)),
        ((2, 2, 6, 8), 32, False, 2.0, (2, 1, 6, 32)),
        ((2, 2, 7, 8), 19, False, None, (2, 1, 1, 1)),
    ],
    ids=["causal", "scaled", "unaligned mask", "a mask a sample", "one number a sample"],
)
def test_the_devices_attention_computes_the_same(shape, keys, causal, scale, mask):
    inputs = inputs_for(shape, keys) + ([torch.randn(mask)] if mask else [])
    made = program(attention(mask is not None, causal, scale), *inputs)
    expected = made.graph_module(*inputs)
    moved = retarget(made, GPU)
    assert all(result.meta["val"].device == GPU for result in moved.results)
    for found, right in zip(OnTheCPU(moved.graph_module).run(*inputs), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)


def test_a_mask_of_truth_values_becomes_a_bias():
    inputs = [*inputs_for((2, 2, 6, 8), 6), torch.rand(6, 6) > 0.3]
    inputs[-1][:, 0] = True
    made = program(attention(True, False, None), *inputs)
    as_numbers = torch.zeros(6, 6).masked_fill(~inputs[-1], -torch.inf)
    expected = attention(True, False, None)(*inputs[:-1], as_numbers)
    for found, right in zip(OnTheCPU(retarget(made, GPU).graph_module).run(*inputs), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "head", "masked", "flash"),
    [
        (torch.bfloat16, 64, False, True),
        (torch.float16, 256, False, True),
        (torch.float32, 64, False, False),
        (torch.bfloat16, 64, True, False),
        (torch.bfloat16, 36, False, False),
        (torch.bfloat16, 264, False, False),
    ],
)
def test_flash_attention_where_torch_takes_it(dtype, head, masked, flash):
    inputs = inputs_for((1, 2, 16, head), 16, dtype) + ([torch.zeros(16, 16, dtype=dtype)] if masked else [])
    made = retarget(program(attention(masked, False, None), *inputs), GPU)
    targets = {str(node.target) for node in made.graph.nodes if "attention" in str(node.target)}
    kind = "flash" if flash else "efficient"
    assert targets == {
        f"aten._scaled_dot_product_{kind}_attention.default",
        f"aten._scaled_dot_product_{kind}_attention_backward.default",
    }
    assert [r.meta["val"].shape for r in made.results] == [node.meta["val"].shape for node in made.results]


def test_the_stand_in_refuses_dropout():
    q = torch.randn(1, 1, 4, 8)
    with pytest.raises(NotImplementedError, match="other numbers"):
        interpreter.efficient_attention(q, q, q, None, True, 0.5)
    torch.testing.assert_close(
        interpreter.efficient_attention(q, q, q, None, True)[0], scaled_dot_product_attention(q, q, q)
    )
