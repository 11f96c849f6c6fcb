import itertools
import warnings

import pytest
import torch

from tessera.backend import products
from tessera.backend.inductor import compile_program
from tessera.backend.products import MEASURED, SMALLEST, Products, add_product, is_large, prefers_onednn, with_products
from tests.backend.hand_made import program

needs_onednn = pytest.mark.skipif(not prefers_onednn(), reason="this processor multiplies as fast in MKL")


class Library:
    """Counts what is left to it."""

    answer = 42

    def __init__(self):
        self.calls = []

    def mm(self, a, b, *, out):
        self.calls.append("mm")
        torch.mm(a, b, out=out)

    def bmm(self, a, b, *, out):
        self.calls.append("bmm")
        torch.bmm(a, b, out=out)


def operands(rows, inner, columns, batch=(), dtype=torch.float32):
    """The same two factors in every layout."""
    a, b = torch.randn(*batch, rows, inner, dtype=dtype), torch.randn(*batch, inner, columns, dtype=dtype)
    return itertools.product([a, a.mT.contiguous().mT], [b, b.mT.contiguous().mT])


def multiplied(a, b):
    library = Library()
    out = torch.full((*a.shape[:-1], b.shape[-1]), torch.nan, dtype=a.dtype)
    multiply = Products(library).mm if a.dim() == 2 else Products(library).bmm
    multiply(a, b, out=out)
    return out, library.calls


@needs_onednn
@pytest.mark.parametrize("batch", [(), (3,)], ids=["mm", "bmm"])
@pytest.mark.parametrize("sizes", [(128, 128, 128), (2048, 1024, 1), (1, 2048, 1024), (331, 97, 67), (17, 784, 512)])
def test_large_products_are_right_in_every_layout(sizes, batch):
    for a, b in operands(*sizes, batch):
        out, left = multiplied(a, b)
        assert left == [] or a.numel() * b.shape[-1] in MEASURED
        torch.testing.assert_close(out.double(), a.double() @ b.double(), rtol=1e-4, atol=1e-3)


@needs_onednn
def test_random_sizes():
    draw = torch.Generator().manual_seed(0)
    for _ in range(30):
        rows, inner = torch.randint(1, 300, (2,), generator=draw).tolist()
        columns = SMALLEST // (rows * inner) + 1
        if rows * inner * columns > 1 << 24:
            continue
        for a, b in operands(rows, inner, columns):
            out, _ = multiplied(a, b)
            torch.testing.assert_close(out.double(), a.double() @ b.double(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.randn(4, 4), torch.randn(4, 4)),
        (torch.randn(128, 128).double(), torch.randn(128, 128).double()),
        (torch.randn(128, 256)[:, ::2], torch.randn(128, 128)),
        (torch.randn(128, 128), torch.randn(129, 129)[1:, 1:]),
    ],
    ids=["small", "float64", "strided", "rows apart"],  # small: below what is measured
)
def test_what_does_not_fit_is_left_to_the_library(a, b):
    out, left = multiplied(a, b)
    assert left == ["mm"]
    assert torch.equal(out, a @ b)


@needs_onednn
@pytest.mark.parametrize("way", ["onednn", "library"])
def test_a_small_product_goes_where_it_was_faster(way, monkeypatch):
    asked = []
    monkeypatch.setattr(products, "fastest", lambda problem, ways, usual: asked.append((problem, usual)) or way)
    a, b = torch.randn(128, 512), torch.randn(10, 512).mT
    library, out = Library(), torch.empty(128, 10)
    multiply = Products(library)
    for _ in range(3):
        multiply.mm(a, b, out=out)
    torch.testing.assert_close(out, a @ b, rtol=1e-4, atol=1e-3)
    assert asked == [("(128, 512) x (512, 10), strides (512, 1) (1, 512), float32", "library")]
    assert library.calls == (["mm"] * 3 if way == "library" else [])


@needs_onednn
def test_ways_that_are_measured_compute_the_same():
    for a, b in operands(128, 300, 31):
        out, _ = multiplied(a, b)
        torch.testing.assert_close(out.double(), a.double() @ b.double(), rtol=1e-4, atol=1e-3)


def test_onednn_switched_off_is_not_used():
    a = torch.randn(128, 128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the context sets a switch of Intel GPUs, which torch warns about
        with torch.backends.mkldnn.flags(enabled=False):
            assert multiplied(a, a)[1] == ["mm"]


def test_other_names_are_the_librarys_and_one_choice_is_enough():
    chosen = with_products(Library())
    assert chosen.answer == 42
    assert with_products(chosen) is chosen


@pytest.mark.parametrize(("vendor", "expected"), [("GenuineIntel", False), ("", False)])
def test_mkl_stays_where_it_is_at_home(vendor, expected, monkeypatch):
    monkeypatch.setattr(products, "_vendor", lambda: vendor)
    assert prefers_onednn() is expected


def test_is_large_counts_multiplications():
    assert is_large(torch.empty(128, 128), torch.empty(128, 128))
    assert not is_large(torch.empty(128, 127), torch.empty(127, 128))


@needs_onednn
def test_a_program_multiplies_there(monkeypatch):
    seen = []
    monkeypatch.setattr(products, "_onednn", lambda: type("Spy", (), {"multiply": staticmethod(seen_by(seen))}))
    a, b = torch.randn(256, 256), torch.randn(256, 256)  # too large to be measured first
    compile_program(program(lambda a, b: (a @ b,), a, b)).call([a, b])
    assert len(seen) == 1


def seen_by(seen):
    return lambda *pointers: seen.append(pointers)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("size", [3, 160])
def test_a_product_is_added_in_place(dtype, turned, size):
    generator = torch.Generator().manual_seed(size)
    a, b, total = (torch.randn(size, size, generator=generator).to(dtype) for _ in range(3))
    if turned:
        a, b = a.t(), b.t()
    expected = total.double() + a.double() @ b.double()
    before = total.data_ptr()
    add_product(total, a, b)
    assert total.data_ptr() == before
    torch.testing.assert_close(
        total.double(),
        expected,
        rtol=2e-2 if dtype == torch.bfloat16 else 1e-4,
        atol=1e-1 if dtype == torch.bfloat16 else 1e-4,
    )
