from __future__ import annotations

from tessera.data.progress_board import READING, WAITING, ProgressBoard, look
from tessera.data.shared_memory import Segment


def test_what_is_written_is_seen():
    segment = Segment()
    board = ProgressBoard(segment)
    assert look(segment) == (0, 0, WAITING)
    board.at(2**40, 7, READING)
    assert look(segment) == (2**40, 7, READING)
    board.stage(3)
    assert look(segment) == (2**40, 7, 3)


def test_a_board_for_oneself():
    board = ProgressBoard()
    board.at(1, 2, 3)
    assert board.read() == (1, 2, 3)
