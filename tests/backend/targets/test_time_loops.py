from __future__ import annotations

import pytest
import torch
from torch import nn

import tessera
from tessera.backend.loops.loop import LOOP, body_of, run_loop
from tessera.backend.targets.emit import emit_programs
from tessera.backend.targets.files import LOOP_FILE
from tessera.backend.targets.time_loops import loops_from_json, loops_to_json, turns_of
from tessera.capture.emit import captured, check_emitted
from tests.backend.hand_made import program
from tests.backend.targets.needs_triton import needs_triton
from tests.backend.targets.steps import LSTM

XS, H = torch.randn(6, 3), torch.randn(3)
TABLE = torch.tensor([1.0, -2.0, 3.0])


def twice(xs, h):
    first = run_loop(lambda h, x: [h * 0.5 + x * TABLE, h.sin()], [h], [xs], [])
    second = run_loop(lambda h, x: [h * 0.5 + x * TABLE, h.sin()], [h], [xs[:4]], [])
    return (first[0][0], *second[1])


def test_bodies_are_described_once_with_their_constants():
    made = program(twice, XS, H)
    ((name, turns),) = turns_of(made).items()
    assert turns == 10
    told, constants = loops_to_json(made)
    assert list(told) == [name]
    (constant,) = constants.values()
    assert torch.equal(constant, TABLE)
    before = body_of(name)
    (own,) = loops_from_json(told, constants, torch.device("cpu")).values()
    after = body_of(name)
    assert [one.shape for one in after.operands] == [*(one.shape for one in before.operands), TABLE.shape]
    values = [H, XS[0]]
    expected = before.graph(*values)
    torch.testing.assert_close(list(after.graph(*values, *own.values())), list(expected))


def test_a_program_without_loops_has_none():
    assert loops_to_json(program(lambda x: (x + 1,), H)) == ({}, {})


def recurrent(length, kind=nn.LSTM, **options):
    torch.manual_seed(0)
    model = LSTM()
    options = {"batch_first": True} | options
    model.lstm = kind(8, 16 // (1 + options.get("bidirectional", False)), **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return tessera.train_step(model, "cross_entropy", optimizer), torch.randn(4, length, 8), torch.randint(0, 4, (4,))


@needs_triton
def test_kernels_to_compile_do_not_grow_with_time():
    short, long = emit_programs([captured(*recurrent(length))[0] for length in (8, 24)], "h200")
    assert abs(len(long.kernels) - len(short.kernels)) <= 1
    assert not short.failed + long.failed
    for emission, length in ((short, 8), (long, 24)):
        turn = next(text for name, text in emission.sources.items() if name.startswith(LOOP_FILE))
        launched = [kernel for kernel in emission.kernels if f"{kernel.name}.run(" in turn]
        assert launched
        assert all(kernel.launches % length == 0 for kernel in launched)
        products = sum(call.launches for call in emission.library_calls)
        assert products > 2 * length  # every turn has one forward and one backward, and there are others
        assert not any(str(LOOP) in call.name for call in emission.library_calls)
        assert f"time loop of {length} steps as one loop, 2 times" in emission.notes


class Scanned(nn.Module):
    """A recurrence of one's own, with a constant in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3) / 3)

    def forward(self, xs):
        def turn(h, x):
            h = torch.tanh(h @ self.weight + x * torch.tensor([1.0, -2.0, 3.0]))
            return h, h

        return tessera.scan(turn, torch.zeros(4, 3), xs, reverse=True)[1]


@needs_triton
def test_interpreted_turns_compute_what_eager_does():
    torch.manual_seed(0)
    model = Scanned()
    step = tessera.train_step(model, "mse", torch.optim.SGD(model.parameters(), lr=0.1))
    assert check_emitted(step, torch.randn(5, 4, 3), torch.randn(5, 4, 3), target="h200") < 1e-3


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("options", [{"num_layers": 2}, {"kind": nn.GRU, "bidirectional": True}], ids=["deep", "both"])
def test_interpreted_layers_compute_what_eager_does(options):
    assert check_emitted(*recurrent(5, **options), target="h200") < 1e-3
    inference = recurrent(5, **options)[0].job.module.eval()
    assert check_emitted(inference, torch.randn(4, 5, 8), target="l4") < 1e-3
