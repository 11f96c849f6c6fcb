"""What the user has marked with ``torch.utils.checkpoint`` is computed again in the backward, budget or not.

AOTAutograd traces such a function once and marks what it computes. Computed again is what is marked, from what goes
into the function; what comes out of it is kept.
"""

from __future__ import annotations

from torch import fx

from tessera import torch_internals
from tessera.backend.memory.recomputation import recompute
from tessera.backend.memory.sides import Sides
from tessera.program import Phase, Program


def recompute_marked(program: Program) -> int:
    """Compute again what is marked; returns how many values are not kept therefore."""
    regions = {node: torch_internals.checkpoint_region(node) for node in program.graph.nodes}
    if not any(region is not None for region in regions.values()):
        return 0
    sides = Sides(program.graph)
    stays = {node for node in regions if _stays(node, regions)}
    dropped = [node for node in sides.kept if node not in stays and sides.can_be_repeated(node)]
    if dropped:
        recompute(program.graph, dropped, stays)
        program.notes.append(f"torch.utils.checkpoint: {len(dropped)} values are computed again")
    return len(dropped)


def _stays(node: fx.Node, regions: dict[fx.Node, int | None]) -> bool:
    """Whether it is kept: it is of no marked function, or leaves it."""
    if regions[node] is None:
        return node.meta.get("phase") is Phase.FORWARD
    return any(regions[user] != regions[node] for user in node.users if user.meta.get("phase") is Phase.FORWARD)
