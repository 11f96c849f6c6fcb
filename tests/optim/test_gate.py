import torch

from tessera.optim import scale, trace
from tessera.optim.gate import Decision, gated
from tessera.optim.transformation import GradientTransformation, zero_count

PARAMS = [torch.tensor(1.0), torch.tensor([2.0, 3.0])]
GRADS = [torch.tensor(1.0), torch.tensor([1.0, 1.0])]


def every_other(**more):
    def decide(grads, states, params):
        call = states[0]["momentum_buffer"] + 1
        new = [{"momentum_buffer": call} for _ in states]
        return Decision(torch.remainder(call, 2) == 0, grads, new, **more)

    return decide


def run(tx, calls):
    states, seen = [tx.init(param) for param in PARAMS], []
    for _ in range(calls):
        updates, states = tx.update(GRADS, states, PARAMS)
        seen.append([value.tolist() for value in updates])
    return seen, states


def test_nothing_moves_while_it_is_closed():
    tx = gated(trace(0.5), {"momentum_buffer": zero_count}, every_other())
    assert set(tx.state) == {"momentum_buffer", "momentum_buffer_1"}  # the gate's own is the second
    seen, states = run(tx, 4)
    assert seen == [[0.0, [0.0, 0.0]], [1.0, [1.0, 1.0]], [0.0, [0.0, 0.0]], [1.5, [1.5, 1.5]]]
    assert states[0]["momentum_buffer"].item() == 1.5
    assert states[0]["momentum_buffer_1"].item() == 4


def test_updates_may_begin_elsewhere_and_go_elsewhere():
    origins, otherwise = [torch.tensor(0.0), torch.zeros(2)], [torch.tensor(7.0), torch.full((2,), 8.0)]
    tx = gated(scale(0.5), {"momentum_buffer": zero_count}, every_other(origins=origins, otherwise=otherwise))
    seen, _ = run(tx, 2)
    assert seen == [[7.0, [8.0, 8.0]], [0.5 - 1, [0.5 - 2, 0.5 - 3]]]


def test_nothing_to_update_is_no_error():
    assert gated(scale(2.0), {}, lambda *_: None).update([], [], []) == ([], [])


def test_names_reach_what_is_inside():
    inner = GradientTransformation({}, lambda *_: None, by_name=lambda names: scale(float(len(names))))
    tx = gated(inner, {}, lambda grads, states, _: Decision(torch.tensor(True), grads, states))
    updates, _ = tx.named(["a", "b"]).update(GRADS, [{}, {}], PARAMS)
    assert updates[0].item() == 2.0
