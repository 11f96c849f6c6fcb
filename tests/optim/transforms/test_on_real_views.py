import pytest
import torch

from tessera.optim import accumulate, bfloat16_state, chain, clip_by_global_norm, identity, partition, scale_by_adam
from tessera.optim.transformation import stateless
from tessera.optim.transforms.on_real_views import on_real_views


def test_real_and_imaginary_parts_are_two_numbers():
    plain = chain(clip_by_global_norm(1.0), scale_by_adam())
    tx = on_real_views(plain)
    params = [torch.randn(3, dtype=torch.complex128), torch.randn(2, dtype=torch.float64)]
    views = [torch.view_as_real(params[0]), params[1]]
    states = [tx.init(p) for p in params]
    views_states = [plain.init(p) for p in views]
    for _ in range(3):
        grads = [torch.randn(3, dtype=torch.complex128), torch.randn(2, dtype=torch.float64)]
        updates, states = tx.update(grads, states, params)
        expected, views_states = plain.update([torch.view_as_real(grads[0]), grads[1]], views_states, views)
        assert torch.equal(torch.view_as_real(updates[0]), expected[0])
        assert torch.equal(updates[1], expected[1])
        assert states[0]["exp_avg_sq"].dtype == torch.complex128
        assert torch.equal(torch.view_as_real(states[0]["exp_avg_sq"]), views_states[0]["exp_avg_sq"])
        assert torch.equal(states[0]["step"], views_states[0]["step"])


@pytest.mark.parametrize(
    "compose",
    [
        lambda tx: chain(identity(), tx),
        lambda tx: chain(tx, accumulate(1)),
        bfloat16_state,
        lambda tx: partition([(torch.is_complex, tx)]),
        lambda tx: chain(partition({"weight": tx})).named(["weight"]),
    ],
    ids=["chain", "gate", "bfloat16_state", "partition", "names"],
)
def test_a_composition_hands_complex_parameters_on(compose):
    seen = []
    param = torch.ones(3, dtype=torch.complex64)
    tx = on_real_views(compose(stateless(lambda grad, its: seen.append(its.shape) or grad)))
    (update,), _ = tx.update([param * 2j], [tx.init(param)], [param])
    assert seen == [(3, 2)]
    assert torch.equal(update, param * 2j)
