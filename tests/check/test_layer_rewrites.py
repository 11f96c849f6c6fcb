from __future__ import annotations

import torch
from torch import nn

from tessera import torch_internals
from tessera.check.layer_rewrites import layer_edits


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, 10, 8))
        self.rnn = nn.RNN(6, 8)
        self.blocks = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 12))
        self.convolution = nn.Conv1d(4, 4, 5, padding=1)
        self.shared = self.blocks[0]

    def forward(self, x):
        return x


def edits(module, sizes=(8, 12, 16)):
    return list(layer_edits(module, torch_internals.new_fake_mode(), list(module.modules()), sizes, {}))


def made(module, text):
    edit = next(edit for edit in edits(module) if edit.text == text)
    return edit, edit.applied(module)


def test_a_layer_of_another_size_stands_in_a_copy():
    module = Net()
    edit, other = made(module, "Linear(out_features=12)")
    assert edit.where.code.startswith("self.blocks")
    assert other is not module
    assert other.blocks[0].weight.shape == (12, 8)
    assert module.blocks[0].weight.shape == (16, 8)
    assert other.rnn is not module.rnn
    assert other.rnn.weight_ih_l0 is module.rnn.weight_ih_l0


def test_parameters_switches_and_paddings_are_edited():
    module = Net()
    assert made(module, "position of [1, 16, 8]")[1].position.shape == (1, 16, 8)
    assert made(module, "RNN(batch_first=True)")[1].rnn.batch_first
    assert made(module, "Conv1d(padding=2)")[1].convolution.padding == (2,)


def test_all_of_a_list_but_the_first_take_what_the_one_before_gives():
    class Cells(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.ModuleList([nn.LSTMCell(8, 12) for _ in range(3)])

    other = made(Cells(), "LSTMCell(input_size=12) behind the first")[1]
    assert [cell.input_size for cell in other.cells] == [8, 12, 12]


def test_buffers_are_of_another_size_too():
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("rows", torch.zeros(3, 8, dtype=torch.int64))

    module = Table()
    edit, other = made(module, "rows of [3, 12]")
    assert edit.where.code.startswith("self.register_buffer")
    assert (other.rows.shape, other.rows.dtype) == ((3, 12), torch.int64)
    assert module.rows.shape == (3, 8)


def test_a_number_in_place_of_what_is_computed_is_dearer_still():
    class Computed(nn.Module):
        def __init__(self, size: int = 8) -> None:
            super().__init__()
            inner = 2 * size
            self.layer = nn.Linear(inner, 5)
            self.weight = nn.Parameter(torch.zeros(inner, 3))

    module = Computed()
    cost = {edit.text: edit.cost for edit in edits(module)}
    assert cost["Linear(in_features=12)"] > cost["Linear(out_features=12)"]
    assert cost["weight of [12, 3]"] > cost["weight of [16, 12]"]


def test_layers_of_one_line_and_many_sizes_take_that_of_the_layer_beside():
    class Block(nn.Module):
        def __init__(self, size) -> None:
            super().__init__()
            self.up = nn.Linear(size, 3 * size)
            self.down = nn.Linear(3 * size, 3 * size)

    class Blocks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(Block(size) for size in (4, 6))

    mode = torch_internals.new_fake_mode()
    blocks = Blocks()
    some = layer_edits(blocks, mode, [block.down for block in blocks.blocks], [4, 6], {})
    edit = next(edit for edit in some if edit.text == "Linear(out_features=self.up.in_features)")
    assert [block.down.out_features for block in edit.applied(blocks).blocks] == [4, 6]
    assert [block.down.out_features for block in blocks.blocks] == [12, 18]


def test_a_size_that_a_name_is_given_for_alone_is_dearer():
    class Named(nn.Module):
        def __init__(self, size=8) -> None:
            super().__init__()
            self.layer = nn.Linear(size, 5)

    module, mode = Named(), torch_internals.new_fake_mode()
    some = {e.text: e.cost for e in layer_edits(module, mode, [module.layer], [12, 13], {}, frozenset({8, 6}))}
    assert some["Linear(in_features=13)"] > some["Linear(out_features=13)"], "size is given for it alone"
    assert some["Linear(out_features=13)"] == some["Linear(out_features=12)"], "a number is written there"


class Said(nn.Module):
    def __init__(self, size: int = 8, hidden: int = 12) -> None:
        super().__init__()
        self.first = nn.GRU(size, hidden, batch_first=True)
        self.second = nn.GRU(size, hidden)


def test_a_switch_that_is_written_is_seldom_wrong_and_a_name_seldomer_than_a_number():
    module = Said()
    known = frozenset({8, 12})
    some = layer_edits(module, torch_internals.new_fake_mode(), list(module.modules()), (8, 12), {}, known)
    cost = {(edit.where.code.split(" = ")[0], edit.text): edit.cost for edit in some}
    assert cost["self.first", "GRU(batch_first=False)"] > cost["self.second", "GRU(batch_first=True)"]
    assert cost["self.first", "GRU(hidden_size=8)"] > cost["self.second", "GRU(batch_first=True)"]


def test_a_number_in_place_of_a_name_used_elsewhere_too_is_dearer_where_no_name_stands_for_it():
    module, known = Said(), frozenset({8, 12})
    some = layer_edits(module, torch_internals.new_fake_mode(), list(module.modules()), (8, 13), {}, known)
    cost = {(edit.where.code.split(" = ")[0], edit.text): edit.cost for edit in some}
    assert cost["self.first", "GRU(hidden_size=13)"] > cost["self.first", "GRU(hidden_size=8)"]
