"""A worker's side of the pipe, run in this process."""

from __future__ import annotations

import signal
import threading
from multiprocessing import Pipe

import numpy as np
import pytest
import torch

from tessera.data import arrays, dataset
from tessera.data.shared_memory import Segment
from tessera.data.work import Task, Work
from tessera.data.worker import Failure, serve
from tessera.errors import DataError
from tests.data.functions import as_list, exits_on_13, fails_on_13


@pytest.fixture
def answers(monkeypatch):
    """Sends tasks to a worker for some data, and returns what it answers."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # it is the main process that Ctrl-C is for

    def ask(data, *tasks, **options):
        here, there = Pipe()
        slots = [Segment()]
        work = Work(data, key=None, seed=0, **options)
        worker = threading.Thread(target=serve, args=(there, work, Segment(), slots))
        worker.start()
        found = [here.recv()]
        for task in tasks:
            here.send((task, 0))
            answer = here.recv()
            if not isinstance(answer, Failure):
                answer = answer.rebuild([leaf.clone() for leaf in slots[0].read(answer.likes)])
            found.append(answer)
        here.close()
        worker.join(5)
        assert not worker.is_alive()  # it ends when the other side is gone
        return found

    return ask


def test_it_says_that_it_is_ready_and_answers_in_order(answers):
    ready, first, second = answers(arrays({"x": torch.arange(10)}), Task(0, 0, 2), Task(0, 2, 5))
    assert ready is True
    assert first["x"].tolist() == [0, 1]
    assert second["x"].tolist() == [2, 3, 4]


def test_what_cannot_go_as_bytes_goes_all_the_same(answers):
    weight = torch.nn.Parameter(torch.ones(2))
    samples = [{"text": "a", "object": np.array([None, 1], object), "weight": weight, "number": 3}]
    (_, answer) = answers(dataset(samples), Task(0, 0, 1), collate=list)
    assert answer[0]["text"] == "a"
    assert answer[0]["object"].tolist() == [None, 1]
    assert torch.equal(answer[0]["weight"], weight)
    assert type(answer[0]["weight"]) is torch.nn.Parameter
    assert answers(arrays(torch.arange(3)), Task(0, 0, 3), collate=as_list)[1] == [0.0, 1.0, 2.0]


def nested(samples):
    return torch.nested.nested_tensor(samples, layout=torch.jagged)


def test_a_nested_tensor_goes_too(answers):
    (_, answer) = answers(dataset([torch.ones(2), torch.ones(3)]), Task(0, 0, 2), collate=nested)
    assert [len(part) for part in answer.unbind()] == [2, 3]


@pytest.mark.parametrize("made", [lambda: 0, torch.ones(2, requires_grad=True) * 2])
def test_what_cannot_be_sent_is_said_and_the_worker_stays(answers, made):
    def collate(samples):
        return made if int(samples[0]) else samples[0]

    _, failure, after = answers(arrays(torch.arange(2)), Task(0, 1, 2), Task(0, 0, 1), collate=collate)
    assert failure.kind is DataError
    assert failure.received.startswith("What was made cannot be sent from a worker process: ")
    assert after.item() == 0


@pytest.mark.parametrize("function", [fails_on_13, exits_on_13])
def test_an_error_goes_in_words_and_the_worker_stays(answers, function):
    _, failure, after = answers(arrays(torch.arange(20)).map(function, random=False), Task(0, 12, 14), Task(0, 0, 2))
    assert isinstance(failure, Failure)
    assert "Traceback" in failure.trace
    assert failure.where.file.endswith("functions.py")
    assert after.tolist() == [0, 1]
