"""The process that runs emitted kernels in Triton's interpreter: ``python -m ...targets.interpreter FOLDER``.

Inductor's own wrapper is called, on CPU tensors. Kernels are interpreted program by program; library calls are torch's
own on the CPU, but for attention, which is written out here as it is defined.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tessera import torch_internals
from tessera.backend.runner import run_pipeline
from tessera.backend.targets.absent import Properties
from tessera.backend.targets.device import DEVICES
from tessera.backend.targets.graph_json import program_from_json
from tessera.backend.targets.retarget import retarget
from tessera.backend.targets.time_loops import interpret_loops, loops_from_json
from tessera.program import copy_graph

aten = torch.ops.aten


def main(arguments: list[str]) -> int:
    """Run the program in a folder on the values there; results and inputs afterwards are written beside them."""
    folder = Path(arguments[0])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch_internals.answer_as(Properties(DEVICES[job["target"]]))
    implementation = torch.library.Library("aten", "IMPL")
    implementation.impl("_scaled_dot_product_efficient_attention", efficient_attention, "CPU")
    implementation.impl("_scaled_dot_product_efficient_attention_backward", efficient_attention_backward, "CPU")
    constants = load_file(folder / "constants.safetensors")
    device = torch.device("cuda", 0)
    of_loops = loops_from_json(job["loops"][0], load_file(folder / "loops.safetensors"), device)
    program = retarget(program_from_json(job["programs"][0], constants), device)
    fakes = [node.meta["val"] for node in program.placeholders]
    given = load_file(folder / "values.safetensors") | constants
    values = [_laid_out(given[node.name], fake) for node, fake in zip(program.placeholders, fakes, strict=True)]
    with torch_internals.interpreting_triton():
        run_pipeline(program)
        interpret_loops(program, of_loops)
        # A library that lays out its result otherwise than the device's would be found by the assertions.
        compiled = torch_internals.compile_with_inductor(copy_graph(program.graph_module), fakes, guarded=False)
        results = torch_internals.without_gradients(compiled.call)(list(values))
    told = {f"output {i}": value.contiguous().clone() for i, value in enumerate(results)}
    told |= {f"input {i}": value.contiguous().clone() for i, value in enumerate(values)}
    save_file(told, folder / "results.safetensors")
    return 0


def _laid_out(value: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(fake.shape, fake.stride(), dtype=fake.dtype).copy_(value)


def _scores(
    q: torch.Tensor, k: torch.Tensor, bias: torch.Tensor | None, *, is_causal: bool, scale: float | None
) -> torch.Tensor:
    scores = q @ k.mT * _factor(q, scale)
    if bias is not None:
        scores = scores + bias
    if is_causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool).tril(), -math.inf)
    return scores


def _factor(q: torch.Tensor, scale: float | None) -> float:
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


def efficient_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    attn_bias: torch.Tensor | None,
    _compute_log_sumexp: bool,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """``softmax(q k^T * scale + bias) v`` with the logsumexp in rows of a multiple of 32; without dropout."""
    if dropout_p:
        raise NotImplementedError("dropout inside attention draws other numbers than the device would")
    scores = _scores(q, k, attn_bias, is_causal=is_causal, scale=scale)
    logsumexp = scores.logsumexp(-1)
    padded = torch.nn.functional.pad(logsumexp, (0, -logsumexp.shape[-1] % 32), value=math.inf)
    result = _laid_out_by_row((scores - logsumexp.unsqueeze(-1)).exp() @ v)
    return result, padded.float(), torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)


def efficient_attention_backward(
    grad: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    attn_bias: torch.Tensor | None,
    out: torch.Tensor,
    logsumexp: torch.Tensor,
    _philox_seed: torch.Tensor,
    _philox_offset: torch.Tensor,
    _dropout_p: float,
    _grad_input_mask: list[bool],
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """The gradients of q, k and v, from the logsumexp that the forward kept."""
    scores = _scores(q, k, attn_bias, is_causal=is_causal, scale=scale)
    weights = (scores - logsumexp[..., : q.shape[2]].unsqueeze(-1)).exp()
    inner = weights * (grad @ v.mT - (grad * out).sum(-1, keepdim=True)) * _factor(q, scale)
    return *map(_laid_out_by_row, (inner @ k, inner.mT @ q, weights.mT @ grad)), None  # type: ignore[return-value]


def _laid_out_by_row(value: torch.Tensor) -> torch.Tensor:
    """``[batch, head, row, column]`` with the heads of a row beside each other, as the device's kernel writes it."""
    return value.transpose(1, 2).contiguous().transpose(1, 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
