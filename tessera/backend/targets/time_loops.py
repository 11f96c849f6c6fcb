"""Time loops for a GPU that is not here: the kernels of one turn, compiled once and launched turn after turn.

A body reaches the process that compiles as a Program of its own. Constants in it are operands there, behind the others.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.loops.body import Body, like
from tessera.backend.loops.compiled_loop import CompiledLoop, writing_turn
from tessera.backend.loops.loop import COMPILED, LOOP, body_of, keep_body
from tessera.backend.targets.graph_json import program_from_json, program_to_json
from tessera.backend.targets.retarget import retarget
from tessera.program import Program, Role, Value

Constants = dict[str, torch.Tensor]


def turns_of(program: Program) -> Counter[str]:
    """How many turns the loops of each body have together."""
    turns: Counter[str] = Counter()
    for node in program.graph.find_nodes(op="call_function", target=LOOP):
        turns[str(node.args[0])] += int(node.args[4])
    return turns


def loops_to_json(program: Program) -> tuple[dict[str, Any], Constants]:
    """The bodies of a Program's loops by name, and their constants, each under the name of its body."""
    told: dict[str, Any] = {}
    constants: Constants = {}
    for name in turns_of(program):
        body = body_of(name)
        inputs = [Value(f"input {i}", Role.BATCH) for i in range(len(body.operands))]
        results = [Value(f"output {i}", Role.RESULT) for i in range(len(body.returned))]
        graph, found = program_to_json(Program(f"turn {name}", body.graph, inputs, results))
        told[name] = {"graph": graph, "carries": len(body.carries), "xs": len(body.xs)}
        constants |= {f"{name}.{key}": value for key, value in found.items()}
    return told, constants


def loops_from_json(told: dict[str, Any], constants: Constants, device: torch.device) -> dict[str, Constants]:
    """Make loops known that ``loops_to_json`` has described, for ``device``; returns the constants of each body."""
    found: dict[str, Constants] = {}
    for name, one in told.items():
        own = {key.removeprefix(f"{name}."): value for key, value in constants.items() if key.startswith(f"{name}.")}
        turn = retarget(program_from_json(one["graph"], own), device)
        likes = [like(node.meta["val"]) for node in turn.placeholders]
        begin, end = one["carries"], one["carries"] + one["xs"]
        keep_body(name, Body(turn.graph_module, tuple(likes[:begin]), tuple(likes[begin:end]), tuple(likes[end:])))
        operands = len(one["graph"]["inputs"])
        found[name] = {node.name: own[node.name] for node in turn.placeholders[operands:]}
    return found


def compile_turn(name: str) -> torch_internals.InductorOutput:
    """The kernels of one turn, and the wrapper that launches them."""
    graph = writing_turn(body_of(name))
    examples = [node.meta["val"] for node in graph.graph.find_nodes(op="placeholder")]
    return torch_internals.compile_with_inductor(graph, examples)


def interpret_loops(program: Program, constants: dict[str, Constants]) -> None:
    """Let the loops of a Program run by the kernels of their turns, where those are interpreted."""
    for name in turns_of(program):
        body, call, own = body_of(name), compile_turn(name).call, list(constants[name].values())
        first = len(body.operands) - len(own)

        def turn(inputs: list[Any], call: Any = call, own: list[Any] = own, first: int = first) -> Any:
            return call([*inputs[:first], *own, *inputs[first:]])

        here = torch.device("cpu")
        carries, ys = ([one.on(here) for one in many] for many in (body.carries, body.ys))
        COMPILED[name] = CompiledLoop(carries, ys, eagerly=turn)
