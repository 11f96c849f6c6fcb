from __future__ import annotations

import pytest
import torch

import tessera
from tessera import torch_internals

aten = torch.ops.aten


def test_tensors_are_found_in_nested_values():
    a, b = torch.ones(1), torch.zeros(2)
    found = torch_internals.tensors_in([a, {"key": (1, b)}, None])
    assert found[0] is a
    assert found[1] is b
    assert len(found) == 2


def test_what_an_operator_does():
    assert torch_internals.is_random(aten.bernoulli.default)
    assert not torch_internals.is_random(aten.add.Tensor)
    assert torch_internals.writes(aten.add_.Tensor)
    assert not torch_internals.writes(aten.add.Tensor)
    assert torch_internals.is_view(aten.view.default)
    assert not torch_internals.is_view(aten.clone.default)
    assert torch_internals.is_operator(aten.add.Tensor)
    assert not torch_internals.is_operator(torch.add)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_traced_dropout_draws_what_eager_draws(dtype):
    probability = torch.rand(30, 50, dtype=dtype)
    traced = torch_internals.trace(lambda p: (torch.bernoulli(p),), probability)
    torch.manual_seed(1)
    (drawn,) = traced(probability)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.bernoulli(probability))
    assert aten.bernoulli.default not in {node.target for node in traced.graph.nodes}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_remainder_is_exact_in_a_kernel(dtype):
    inf, nan = float("inf"), float("nan")
    x, y = (torch.randn(500) * 10.0 ** torch.randint(-3, high, (500,)) for high in (8, 3))
    x[:8], y[:8] = torch.tensor([0, -0.0, inf, -inf, nan, 1, -1, 3]), torch.tensor([inf, 1, -inf, 2, 1, -inf, inf, 0])
    x, y = x.to(dtype), y.to(dtype)

    def function(x, y):
        return x % y, torch.remainder(x, 0.1), torch.remainder(2.5, y)

    for found, expected in zip(tessera.compile(function)(x, y), function(x, y), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
        numbers = ~expected.isnan()
        assert torch.equal(found.signbit()[numbers], expected.signbit()[numbers])


def test_zero_times_infinity_is_no_number():
    x = torch.tensor([1.0, float("inf"), float("nan"), -1.0])

    def function(x):
        return x * 0, 0 * x + 1, (x * 0).nan_to_num(5.0), x.nan_to_num(2.0, 3.0).int() * 0

    for found, expected in zip(tessera.compile(function)(x), function(x), strict=True):
        torch.testing.assert_close(found, expected, equal_nan=True)
        assert found[-1].signbit() == expected[-1].signbit()


def test_a_branch_on_a_symbol_leaves_a_guard():
    mode = torch_internals.new_fake_mode()
    number = torch_internals.symbolic_float(mode, "decay", 0.0)
    tensor = torch_internals.fake_copy(mode, torch.ones(2))
    torch_internals.trace(lambda x, d: (x * d if d > 0.5 else x,), tensor, number, fake_mode=mode)
    holds = torch_internals.SymbolGuards(mode, [number])
    assert holds([0.25])
    assert not holds([0.75])


def test_step_hooks_are_seen():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))])
    assert not torch_internals.has_step_hooks(optimizer)
    hook = optimizer.register_step_post_hook(lambda *_: None)
    assert torch_internals.has_step_hooks(optimizer)
    hook.remove()
    assert not torch_internals.has_step_hooks(optimizer)


def test_gradients_are_on_again_after_a_failure():
    def fail(values):
        assert not torch.is_grad_enabled()
        raise RuntimeError("failed")

    with pytest.raises(RuntimeError, match="failed"):
        torch_internals.without_gradients(fail)([])
    assert torch.is_grad_enabled()


def test_a_view_of_memory_counts_as_a_user_of_it():
    block = torch.arange(6.0)
    handle = torch_internals.memory_of(block)
    before = torch_internals.storage_users(handle)
    view = torch_internals.view_of_memory(block, (2, 3), (3, 1))
    assert torch_internals.storage_users(handle) == before + 1
    assert torch.equal(view, block.reshape(2, 3))
    assert view.data_ptr() == block.data_ptr()


def test_the_compiler_is_asked_once_for_the_vectors_of_this_processor():
    """What is decided in its place is what Inductor finds when it compiles torch's headers for each."""
    from torch._inductor import config, cpu_vec_isa

    with torch_internals.inductor_settings():
        assumed = cpu_vec_isa.pick_vec_isa()
        asked = config.cpp.vec_isa_ok
    cpu_vec_isa.valid_vec_isa_list.cache_clear()
    assert config.cpp.vec_isa_ok is None
    assert cpu_vec_isa.pick_vec_isa() == assumed
    assert asked in (True, None)


def test_a_compiler_that_refuses_the_vectors_is_left_to_inductor(monkeypatch):
    monkeypatch.setattr(torch_internals, "cpp_compiler", lambda: "false")
    assert torch_internals._compiler_has_vectors.__wrapped__() is None


def _two_ways():
    seen = []

    class Manager:
        def __enter__(self):
            seen.append("in")

        def __exit__(self, *_):
            seen.append("out")

    def function(x):
        with Manager():
            return x * 2

    return function, seen


def test_what_a_method_of_a_local_class_does_is_done():
    function, seen = _two_ways()
    compiled = tessera.compile(function)
    for count in (1, 2):
        compiled(torch.ones(2))
        assert seen == ["in", "out"] * count
    assert "__enter__" in str(compiled.report)


def test_an_exception_of_the_users_is_not_the_compilers():
    def raised(function):
        try:
            function()
        except Exception as error:  # noqa: BLE001 - whatever it is
            return error
        raise AssertionError

    def own():
        raise ValueError("mine")

    inner = torch.compile(lambda x: x * 2, backend="eager")
    assert not torch_internals.is_of_the_compiler(raised(own))
    assert not torch_internals.is_of_the_compiler(raised(lambda: (inner(torch.ones(1)), own())))
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        assert torch_internals.is_of_the_compiler(raised(lambda: torch.ones(2) @ torch.ones(3)))


@pytest.mark.parametrize(("code", "uses"), [("yield from x", False), ("y = yield from x", True), ("yield x", False)])
def test_what_yield_from_returns(code, uses):
    names = {}
    exec(f"def f(x):\n    {code}", names)
    assert torch_internals.uses_result_of_yield_from(names["f"].__code__) is uses


def test_forward_mode_is_left():
    level = torch_internals.forward_mode_level()
    torch.autograd.forward_ad.enter_dual_level()
    torch_internals.leave_forward_mode(level)
    assert torch_internals.forward_mode_level() == level


@pytest.mark.parametrize("into", [torch.Tensor.scatter_, torch.Tensor.scatter_add_], ids=lambda f: f.__name__)
def test_a_mask_that_is_set_right_after_a_scatter(into):
    def function(x, index, values):
        into(x, 1, index, values)
        x[x > 5] = -1
        x[x[:, 1] > 4] = 3
        return x

    x, index, values = (
        torch.arange(6.0).reshape(2, 3) + 1,
        torch.zeros(2, 1, dtype=torch.int64),
        torch.full((2, 1), 9.0),
    )
    expected = function(x.clone(), index, values)
    assert torch.equal(tessera.compile(function)(x, index, values), expected)


def test_a_negative_place_is_out_of_range_where_eager_says_so():
    x, table = torch.arange(6.0).reshape(2, 3), torch_internals.inductor_decompositions()
    aten = torch.ops.aten
    for operator, given in (
        (aten.index_select.default, ()),
        (aten.index_add.default, (torch.ones(2, 3),)),
        (aten.index_copy.default, (torch.zeros(2, 3),)),
    ):
        right, wrong = torch.tensor([1, 0]), torch.tensor([0, -1])
        torch.testing.assert_close(table[operator](x, 0, right, *given), operator(x, 0, right, *given))
        with pytest.raises((IndexError, RuntimeError)):
            operator(x, 0, wrong, *given)
        with pytest.raises(IndexError, match="out of bounds"):
            table[operator](x, 0, wrong, *given)


@pytest.mark.parametrize("is_fake", [True, False])
def test_tensors_without_memory_are_those_of_an_operator(is_fake):
    fake_mode = torch_internals.new_fake_mode() if is_fake else None
    made = torch_internals.without_memory(fake_mode, (3, 4), (1, 3), torch.float16)
    with fake_mode or torch.device("meta"):
        like = torch.empty_strided((3, 4), (1, 3), dtype=torch.float16)
    assert (type(made), made.device, made.dtype) == (type(like), like.device, like.dtype)
    assert (made.shape, made.stride()) == (like.shape, like.stride())
