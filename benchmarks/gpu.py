"""`python -m benchmarks.gpu`: large steps beside their peers on a CUDA GPU, one table in less than eight minutes.

Needed: a build of torch for CUDA (2.11 or newer) with its Triton, a C++ compiler, and for JAX's rows `jax[cuda13]` or
`jax[cuda12]` and optax.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from benchmarks import gpt_large, images, xor
from benchmarks.plan import Plan, on_stderr
from benchmarks.run import Families, arguments, run

FAMILIES: Families = {
    "gpt": gpt_large.measure,
    "resnet": images.measure_resnet50,
    "xor": xor.measure,
}
LIMIT_S = 7 * 60.0  # nothing is begun after it: the last thing begun has a minute
NO_GPU = f"""\
There is no CUDA GPU that torch {torch.__version__} can use here, so nothing was measured.
This table needs an NVIDIA GPU with its driver and a build of torch for CUDA: torch.cuda.is_available() must be True.
For the table on the CPU: python -m benchmarks"""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure on the first CUDA GPU, or say what is missing."""
    parser = arguments("Tessera beside its peers on a CUDA GPU.", FAMILIES)
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS", help="begin nothing after this")
    chosen = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print(NO_GPU)
        return
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take three quarters of the memory
    plan = Plan(torch.device("cuda", 0), quick=chosen.quick, say=on_stderr(), limit_s=chosen.limit)
    run(plan, chosen, FAMILIES)


if __name__ == "__main__":
    main()
