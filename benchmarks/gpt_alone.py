"""GPT steps, each way in a process of its own, as a user's script is: peak memory, and time where logits are wide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from benchmarks import gpt
from benchmarks.alone import Alone, alone, smaller
from benchmarks.measure import Absent, Make, Outcome
from benchmarks.plan import Plan, silent
from benchmarks.row import OURS, Part, compared

SMALL = gpt.Size()
WIDE = gpt.Size(length=512, batch=4, vocabulary=50_257)

TORCH_IMPORTS = ("torch._inductor.compile_fx", "torch._dynamo")
OUR_IMPORTS, EAGER_IMPORTS, JAX_IMPORTS = ("tessera", *TORCH_IMPORTS), ("torch",), ("torch", "jax", "optax")


@dataclass(frozen=True)
class Way:
    """How to do it, and what it imports anyhow."""

    make: Make
    imports: tuple[str, ...]


def measure(plan: Plan) -> Part:
    """Memory of the small step beside all peers, memory and time of the wide one beside eager."""
    sent = replace(plan, say=silent)
    small = _measured(
        plan,
        {
            gpt.AUTO: Way(partial(gpt.by_tessera, sent, SMALL, precision="auto"), OUR_IMPORTS),
            gpt.JAX: Way(partial(gpt.by_jax, sent, SMALL), JAX_IMPORTS),
            gpt.TORCH_BF16: Way(partial(gpt.by_torch, sent, SMALL, autocast=True), TORCH_IMPORTS),
        },
    )
    title = f"{gpt.described(SMALL)}, precision auto, peak memory of the process"
    rows = [
        smaller(title, peer, small[gpt.AUTO], small[peer], most=most)
        for peer, most in {gpt.JAX: 0.35, gpt.TORCH_BF16: 0.8}.items()
    ]
    wide = _measured(
        plan,
        {
            OURS: Way(partial(gpt.by_tessera, sent, WIDE), OUR_IMPORTS),
            gpt.EAGER: Way(partial(gpt.by_torch, sent, WIDE, compiled=False), EAGER_IMPORTS),
        },
    )
    title = f"{gpt.described(WIDE)}, fp32"
    ours, theirs = wide[OURS], wide[gpt.EAGER]
    rows += [
        smaller(f"{title}, peak memory of the process", gpt.EAGER, ours, theirs, most=0.4),
        compared(f"{title}, one step", gpt.EAGER, _timing(ours), _timing(theirs), least=1.5),
    ]
    return Part(rows)


def _measured(plan: Plan, ways: Mapping[str, Way]) -> dict[str, Alone | Absent]:
    found = {}
    for name, way in ways.items():
        plan.say(f"  {name}, in its own process")
        found[name] = alone(way.make, plan, imports=way.imports, rounds=3, units=gpt.STEPS)
    return found


def _timing(found: Alone | Absent) -> Outcome:
    return found if isinstance(found, Absent) else found.timing
