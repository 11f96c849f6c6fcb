import torch

from tessera.optim import chain, clip_by_global_norm, scale_by_adam
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
