import pytest
import torch

from tessera.backend.attention.axes import Axis, behind, leaves, new_dim, settled, size_of, through, viewed
from tests.backend.hand_made import program

VIEWS = {
    "split": lambda x: x.view(2, 3, 2, 6, 5),
    "merge": lambda x: x.view(72, 5),
    "cut_across": lambda x: x.view(3, 24, 5),
    "permute": lambda x: x.permute(2, 0, -2),
    "transpose": lambda x: x.transpose(0, -1),
    "flatten_of_permuted": lambda x: x.permute(2, 0, 1).reshape(10, 36),
    "ones": lambda x: x[None, :, None].squeeze(2),
    "copied": lambda x: x.transpose(1, 2).contiguous().unflatten(0, (2, 3)),
    "of_its_size": lambda x: x.expand(6, 12, 5)[:],
}


def shape_chain(view):
    made = program(lambda x: (view(x),), torch.zeros(6, 12, 5))
    return [node for node in made.graph.nodes if node.op == "call_function"]


def indices(layout, start):
    """The element of ``start`` behind every place of ``layout``."""
    order = [axis for dim in settled(layout) for axis in dim]
    places = torch.arange(6 * 12 * 5).view([axis.size for dim in settled(start) for axis in dim])
    at = [axis for dim in settled(start) for axis in dim]
    return places.permute([at.index(axis) for axis in order]).reshape([size_of(dim) for dim in settled(layout)])


@pytest.mark.parametrize("view", VIEWS)
def test_axes_name_the_elements_that_torch_shows(view):
    start = layout = tuple(map(new_dim, (6, 12, 5)))
    for node in shape_chain(VIEWS[view]):
        layout = through(node, layout)
    expected = VIEWS[view](torch.arange(6 * 12 * 5).view(6, 12, 5))
    assert torch.equal(indices(layout, start), expected)


@pytest.mark.parametrize("view", [name for name in VIEWS if name != "of_its_size"])
def test_going_behind_a_view_undoes_it(view):
    nodes = shape_chain(VIEWS[view])
    start = layout = tuple(map(new_dim, (6, 12, 5)))
    for node in nodes:
        layout = through(node, layout)
    for node in reversed(nodes):
        layout = behind(node, layout)
    assert settled(layout) == settled(start)


def test_what_an_expanded_dimension_repeats_is_no_axis_of_its_operand():
    made = program(lambda x: (x.expand(4, 3, 5),), torch.zeros(3, 1))
    (node,) = [node for node in made.graph.nodes if node.op == "call_function"]
    layout = tuple(map(new_dim, (4, 3, 5)))
    assert behind(node, layout) == (layout[1], ())


@pytest.mark.parametrize("change", [lambda x: x.flip(0), lambda x: x[1:], lambda x: x[:, 0], lambda x: x + 1])
def test_what_does_more_than_move_is_not_followed(change):
    (node,) = shape_chain(change)
    layout = tuple(map(new_dim, (6, 12, 5)))
    assert through(node, layout) is None
    assert behind(node, layout) is None


def test_a_view_that_no_axis_divides_by_is_not_followed():
    assert viewed((new_dim(6), new_dim(4)), (8, 3)) is None
    assert viewed((new_dim(6),), (4,)) is None
    assert viewed((new_dim(4),), (6,)) is None


def test_a_split_is_seen_wherever_the_axis_is_shown():
    axis = Axis(12)
    first, rest = axis.split(3)
    assert leaves((axis,)) == (first, rest)
    assert (first.size, rest.size) == (3, 4)
    rest.split(2)
    assert [leaf.size for leaf in leaves((axis,))] == [3, 2, 2]
