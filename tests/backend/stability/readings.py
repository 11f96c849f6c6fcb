"""What the reader makes of a function."""

from tessera.backend.stability.reading import Reader
from tests.backend.attention.captures import capture


def read(function, *inputs):
    """The value of what a function returns, and its reader."""
    captured = capture(function, *inputs)
    reader = Reader(captured.graph_module)
    for node in captured.graph_module.graph.nodes:
        reader.read(node)
    (returned,) = captured.graph_module.graph.output_node().args[0]
    return reader.values[returned], reader


def shown(value):
    """A value as text, in which movements and nodes that only differ by name are alike."""
    if value.op == "leaf":
        return "leaf"
    parts = sorted(f"{shown(part)}" for part in value.parts())
    rest = [c for _, c in value.args[1]] if value.op == "linear" else [a for a in value.args if isinstance(a, tuple)]
    if value.op == "product":
        rest = [e for _, e in value.args[0]]
    return f"{value.op}{parts}{sorted(map(str, rest))}"
