from __future__ import annotations

import torch

from tessera.data import arrays, dataset
from tessera.data.progress_board import WAITING, ProgressBoard
from tessera.data.work import Task, Work
from tests.data.functions import Counting, double, is_even


def work(data, **options):
    return Work(data, key=None, seed=0, **options)


def test_a_dense_task_is_a_batch():
    result = work(arrays(torch.arange(10))).run(Task(0, 2, 5), ProgressBoard())
    assert result.value.tolist() == [2, 3, 4]
    assert set(result.timings.seconds) == {"order", "read"}


def test_a_sifted_task_is_what_stayed_and_where():
    result = work(arrays(torch.arange(10)).filter(is_even).map(double)).run(Task(0, 1, 7), ProgressBoard())
    positions, samples = result.value
    assert positions == [2, 4, 6]
    assert [int(sample) for sample in samples] == [4, 8, 12]
    assert result.timings.samples == {"order": 6, "read": 6, "filter is_even": 6, "map double": 3}


def test_a_packed_task_is_tokens_and_lengths():
    result = work(dataset([[1, 2], [3]]).pack(4, separator=0)).run(Task(0, 0, 2), ProgressBoard())
    positions, tokens, lengths = result.value
    assert (positions.tolist(), tokens.tolist(), lengths.tolist()) == ([0, 1], [1, 2, 0, 3, 0], [3, 2])


def test_a_stream_begins_where_it_is_told():
    results = list(work(dataset(Counting(6)).map(double)).stream(1, 4, ProgressBoard()))
    assert [(result.value[0], int(result.value[1][0])) for result in results] == [([4], 208), ([5], 210)]


def test_the_board_says_when_all_is_done():
    board = ProgressBoard()
    work(arrays(torch.arange(10)).map(double)).run(Task(0, 2, 5), board)
    assert board.read()[2] == WAITING
