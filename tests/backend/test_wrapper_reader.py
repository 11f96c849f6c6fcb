import pytest
import torch

from tessera.backend.wrapper_reader import Buffer, Call, Pointer, read_wrapper

WRAPPER = """
def call(self, args):
    arg0_1, arg1_1 = args
    args.clear()
    buf0 = empty_strided_cpu((4, 8), (8, 1), torch.float32)
    buf1 = empty_strided_cpu((), (), torch.float64)
    cpp_fused_add_0(arg0_1, buf0, buf1)
    del arg0_1
    buf2 = reinterpret_tensor(buf0, (8,), (1,), 16)
    cpp_fused_mul_1(reinterpret_tensor(buf2, (4,), (1,), 4), arg1_1, buf0)
    return (buf0, )
"""
DTYPES = (torch.float32, torch.int64)


def test_a_wrapper_becomes_its_buffers_and_calls():
    schedule = read_wrapper(WRAPPER, DTYPES)
    assert schedule.inputs == ("arg0_1", "arg1_1")
    assert schedule.outputs == ("buf0",)
    assert schedule.buffers == {
        "buf0": Buffer((4, 8), (8, 1), torch.float32),
        "buf1": Buffer((), (), torch.float64),
    }
    argument, result = Pointer("arg0_1", 0, torch.float32), Pointer("buf0", 0, torch.float32)
    assert schedule.calls == (
        Call("cpp_fused_add_0", (argument, result, Pointer("buf1", 0, torch.float64))),
        # A view of a view: the offsets, in elements, add up, and the memory is that of the first buffer.
        Call("cpp_fused_mul_1", (Pointer("buf0", 20, torch.float32), Pointer("arg1_1", 0, torch.int64), result)),
    )


def test_memory_that_is_used_again_is_returned_in_its_new_shape():
    reused = "buf3 = reinterpret_tensor(buf0, (8, 4), (4, 1), 0)\n    return (buf3, )"
    again = WRAPPER.replace("return (buf0, )", reused)
    schedule = read_wrapper(again, DTYPES)
    assert schedule.outputs == ("buf0",)
    assert schedule.results == (Buffer((8, 4), (4, 1), torch.float32),)
    assert read_wrapper(again.replace("(8, 4), (4, 1)", "(4, 4), (4, 1)"), DTYPES) is None  # half of the memory


@pytest.mark.parametrize(
    ("shape", "strides", "elements"), [((4, 8), (8, 1), 32), ((4, 8), (1, 16), 116), ((), (), 1), ((0, 8), (8, 1), 0)]
)
def test_bytes_are_what_torch_needs_for_the_same_tensor(shape, strides, elements):
    real = torch.empty_strided(shape, strides, dtype=torch.float64)
    assert Buffer(shape, strides, torch.float64).bytes == real.untyped_storage().nbytes() == elements * 8


def test_a_pointer_counts_in_its_own_elements():
    assert Pointer("buf0", 3, torch.float64).bytes == 24
    assert Pointer("buf0", 3, torch.int8).bytes == 3


@pytest.mark.parametrize(
    ("known", "unknown"),
    [
        ("cpp_fused_add_0(arg0_1, buf0, buf1)", "extern_kernels.mm(arg0_1, arg1_1, out=buf0)"),
        ("cpp_fused_add_0(arg0_1, buf0, buf1)", "cpp_fused_add_0(arg0_1, buf0, 8)"),
        ("cpp_fused_add_0(arg0_1, buf0, buf1)", "cpp_fused_add_0(arg0_1, buf9, buf1)"),
        ("(4, 8), (8, 1), torch.float32", "(s0, 8), (8, 1), torch.float32"),
        ("(4, 8), (8, 1), torch.float32", "(0, 8), (8, 1), torch.float32"),
        ("return (buf0, )", "return (arg0_1, )"),
        ("return (buf0, )", "return (buf2, )"),
        ("return (buf0, )", "return (reinterpret_tensor(buf0, (32,), (1,), 0), )"),
        ("    return (buf0, )", ""),
        ("del arg0_1", "if arg0_1: pass"),
        ("def call(", "def prepare("),
    ],
)
def test_a_wrapper_that_does_anything_else_is_left_as_it_is(known, unknown):
    assert known in WRAPPER
    assert read_wrapper(WRAPPER.replace(known, unknown), DTYPES) is None


PRODUCTS = """
def call(self, args):
    arg0_1, arg1_1, arg2_1 = args
    args.clear()
    buf0 = empty_strided_cpu((4, 6), (6, 1), torch.float32)
    extern_kernels.addmm(arg2_1, arg0_1, reinterpret_tensor(arg1_1, (8, 6), (1, 8), 2), alpha=1, beta=1, out=buf0)
    cpp_fused_0(buf0)
    return ()
"""
LAYOUTS = [
    Buffer(shape, strides, torch.float32) for shape, strides in (((4, 8), (8, 1)), ((6, 8), (8, 1)), ((6,), (1,)))
]


def test_products_are_read_where_the_layouts_are_known():
    assert read_wrapper(PRODUCTS, [torch.float32] * 3) is None
    product, kernel = read_wrapper(PRODUCTS, [torch.float32] * 3, LAYOUTS).calls
    assert kernel.kernel == "cpp_fused_0"
    assert [(one.base, one.offset) for one in product.arguments] == [
        ("buf0", 0),
        ("arg0_1", 0),
        ("arg1_1", 2),
        ("arg2_1", 0),
    ]
    transposed = Buffer((8, 6), (1, 8), torch.float32)
    assert product.layouts == (Buffer((4, 6), (6, 1), torch.float32), LAYOUTS[0], transposed, LAYOUTS[2])


@pytest.mark.parametrize("change", [("alpha=1", "alpha=2"), ("addmm", "bmm")], ids=["scaled", "batched"])
def test_other_products_are_not_read(change):
    assert read_wrapper(PRODUCTS.replace(*change), [torch.float32] * 3, LAYOUTS) is None
