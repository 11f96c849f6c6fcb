import pytest
import torch

from tessera.errors import OptimizerError
from tessera.optim import trace

PARAM = torch.zeros(3, dtype=torch.float64)


def run(tx, grads):
    states, updates = [tx.init(PARAM)], []
    for grad in grads:
        (update,), states = tx.update([grad], states, [PARAM])
        updates.append(update)
    return updates, states[0]


@pytest.mark.parametrize(("dampening", "nesterov"), [(0.0, False), (0.0, True), (0.3, False)])
def test_it_is_the_equation(dampening, nesterov):
    grads = list(torch.randn(5, 3, dtype=torch.float64))
    updates, state = run(trace(0.9, dampening, nesterov=nesterov), grads)
    buffer = None
    for grad, update in zip(grads, updates, strict=True):
        buffer = grad if buffer is None else 0.9 * buffer + (1 - dampening) * grad
        torch.testing.assert_close(update, grad + 0.9 * buffer if nesterov else buffer, rtol=1e-14, atol=0)
    torch.testing.assert_close(state["momentum_buffer"], buffer, rtol=1e-14, atol=0)


def test_states_are_only_what_is_needed():
    assert set(trace(0.0).state) == set()
    assert set(trace(0.0, 0.5).state) == set()
    assert set(trace(0.9).state) == {"momentum_buffer"}
    assert set(trace(0.9, 0.5).state) == {"momentum_buffer", "momentum_started"}


def test_no_momentum_passes_gradients_through():
    grad = torch.randn(3, dtype=torch.float64)
    updates, _ = run(trace(0.0), [grad, 2 * grad])
    assert torch.equal(updates[1], 2 * grad)


@pytest.mark.parametrize(("momentum", "dampening"), [(0.0, 0.0), (0.9, 0.1)])
def test_nesterov_needs_momentum_and_no_dampening(momentum, dampening):
    with pytest.raises(OptimizerError) as caught:
        trace(momentum, dampening, nesterov=True)
    assert str(caught.value) == (
        f"nesterov=True was passed with momentum={momentum} and dampening={dampening}. "
        "Nesterov's step needs a momentum above 0 and no dampening. "
        "Write for example momentum=0.9, dampening=0, nesterov=True."
    )
