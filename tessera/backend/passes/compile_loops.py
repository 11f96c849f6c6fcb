"""Compiles the turns of time loops, once for all loops that are alike.

    before   loop("a3f0...", [h, c], [gates], [weight], 64, False)      a name
    after    loop("a3f0...", [h, c], [gates], [weight], 64, False)      and behind it a turn for any number of steps

The graph stays as it is.
"""

from __future__ import annotations

from collections import Counter

from tessera.backend.loops.loop import LOOP, compiled_loop
from tessera.backend.rewrite import Pass
from tessera.program import Program


def compile_loops(program: Program) -> int:
    """Returns how many loops there are that it had not seen."""
    found = program.graph.find_nodes(op="call_function", target=LOOP)
    loops = [node for node in found if "loop_is_compiled" not in node.meta]
    steps = Counter(str(node.args[4]) for node in loops)
    for count, number in steps.items():
        program.notes.append(f"time loop of {count} steps as one loop" + (f", {number} times" if number > 1 else ""))
    here = [node for node in loops if node.meta["val"][0].device.type == "cpu"]  # for others see targets/time_loops.py
    notes = [compiled_loop(str(node.args[0])).note for node in here]
    program.notes += dict.fromkeys(filter(None, notes))
    for node in loops:
        node.meta["loop_is_compiled"] = True
    return len(loops)


COMPILE_LOOPS = Pass("compile_loops", "bitwise", compile_loops, "a time loop: an LSTM, a GRU, a scan")
