import pytest
import torch

from tessera import torch_internals
from tessera.backend.graph_compiler import compile_graph
from tessera.backend.passes.outline_regions import outline_regions
from tessera.backend.regions.inline import has_regions, inline_regions, results_share_memory
from tests.backend.hand_made import program, run
from tests.backend.passes.test_outline_regions import WEIGHTS, X, deep


def outlined():
    made = program(deep, X, *WEIGHTS)
    assert outline_regions(made)
    return made


def test_regions_written_out_are_what_they_were():
    made = outlined()
    before = run(made, X, *WEIGHTS)
    assert has_regions(made.graph_module)
    inline_regions(made.graph_module)
    assert not has_regions(made.graph_module)
    assert not list(made.graph_module.children())
    assert torch.equal(run(made, X, *WEIGHTS)[0], before[0])


def written(results):
    return (
        f"def region_0(args):\n    region_0_operand_0, = args\n    return ({results}, )\n\ndef call(args):\n    pass\n"
    )


def test_what_a_region_returns_is_read():
    assert not results_share_memory(written("region_0_buf1, reinterpret_tensor(region_0_buf2, (8, 1), (1, 1), 0)"))
    assert results_share_memory(written("region_0_buf1, reinterpret_tensor(region_0_buf1, (8, 1), (1, 1), 0)"))
    assert results_share_memory(written("region_0_buf1, region_0_operand_0"))
    assert not results_share_memory("")


@pytest.mark.parametrize("answer", [written("region_0_operand_0"), None], ids=["shared", "refused"])
def test_they_are_written_out_where_memory_would_be_shared_or_inductor_refuses(answer):
    made, asked = outlined(), []

    def inductor(graph_module, inputs):
        asked.append(has_regions(graph_module))
        if asked == [True] and answer is None:
            raise NotImplementedError("no regions here")
        return torch_internals.InductorOutput(lambda inputs: [], answer or "" if asked == [True] else "plain", {})

    output, _ = compile_graph(made.graph_module, [], inductor)
    assert asked == [True, False]
    assert output.source == "plain"
    assert has_regions(made.graph_module)
