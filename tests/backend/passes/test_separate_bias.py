import torch

from tessera.backend.inductor import compile_program
from tessera.backend.passes.separate_bias import separate_bias
from tests.backend.hand_made import aten, program, run, targets

BIAS, A, B = torch.rand(128), torch.rand(130, 128), torch.rand(128, 128)


def test_the_bias_leaves_the_product():
    made = program(lambda bias, a, b: (torch.addmm(bias, a, b),), BIAS, A, B)
    before = run(made, BIAS, A, B)
    assert separate_bias(made) == 1
    assert aten.mm.default in targets(made)
    assert aten.addmm.default not in targets(made)
    torch.testing.assert_close(run(made, BIAS, A, B), before)
    assert separate_bias(made) == 0


def test_every_shape_of_bias_is_spread_as_before():
    for bias in (torch.rand(128), torch.rand(1, 128), torch.rand(130, 1), torch.rand(130, 128), torch.rand(())):
        made = program(lambda bias, a, b: (torch.addmm(bias, a, b),), bias, A, B)
        before = run(made, bias, A, B)
        assert separate_bias(made) == 1
        torch.testing.assert_close(run(made, bias, A, B), before)


def test_small_scaled_and_low_precision_products_keep_it():
    small = program(lambda bias, a, b: (torch.addmm(bias, a, b),), BIAS[:4], A[:4, :4], B[:4, :4])
    scaled = program(lambda bias, a, b: (torch.addmm(bias, a, b, beta=2, alpha=3),), BIAS, A, B)
    low = program(lambda *t: (torch.addmm(*t),), *(t.bfloat16() for t in (BIAS, A, B)))
    for made in (small, scaled, low):
        assert separate_bias(made) == 0


def test_inductor_leaves_them_apart():
    made = program(lambda bias, a, b: (torch.relu(torch.addmm(bias, a, b)),), BIAS, A, B)
    executable = compile_program(made)
    assert "extern_kernels.mm(" in executable.wrapper.source
    assert "addmm(" not in executable.wrapper.source
    torch.testing.assert_close(executable.call([BIAS, A, B])[0], torch.relu(torch.addmm(BIAS, A, B)))
