import torch

from tessera.backend.stability.aliases import Aliases
from tests.backend.attention.captures import capture


def test_names_and_views_of_memory_that_is_written_to():
    def function(x):
        made = x + 1
        row = made[0]
        row.mul_(2)
        return made, x.exp()

    graph = capture(function, torch.randn(2, 3)).graph_module.graph
    aliases = Aliases(graph)
    (made,) = (n for n in graph.nodes if n.name == "made")
    same, views = aliases.of(made)
    assert same == [made]
    assert {n.name for n in views} >= {"row"}
    assert aliases.is_written(made)
    assert not aliases.is_written(graph.find_nodes(op="placeholder")[0])


def test_a_graph_that_writes_nothing_has_nothing_to_look_at():
    graph = capture(lambda x: x.view(-1).exp(), torch.randn(2, 3)).graph_module.graph
    aliases = Aliases(graph)
    assert not any(map(aliases.is_written, graph.nodes))
