from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import tessera
from tessera.backend.tail_stores import writes_past_the_end

LOOP = "for(int64_t x0=static_cast<int64_t>(0L); x0<static_cast<int64_t>({size}); x0+=static_cast<int64_t>(16L))"
STORE = "tmp_acc0_vec.store(out_ptr0 + static_cast<int64_t>(x0), static_cast<int64_t>(16));"
PART = "if(C10_UNLIKELY(x0 >= static_cast<int64_t>(64L) && x0 < static_cast<int64_t>(66L)))"
INNER = "for (long x0_inner = 0; x0_inner < static_cast<int64_t>(16); x0_inner++)"


def kernel(size, *body):
    return "\n".join(["{", LOOP.format(size=size), "{", *body, "}", "}"])


@pytest.mark.parametrize(
    "source",
    [
        kernel("66L", STORE),
        kernel("3L", STORE),
        kernel("ks0", STORE),
        kernel("66L", INNER, "{", "out_ptr1[static_cast<int64_t>(x1 + 72L*x0_inner)] = tmpbuf[x0_inner];", "}"),
        kernel("66L", PART, "{", "tmp0.store(out_ptr0 + x0, 2);", "}", STORE),
        kernel("66L", "if(C10_LIKELY(x1 >= static_cast<int64_t>(0L)))", "{", STORE, "}"),
    ],
)
def test_a_whole_vector_in_the_rest_of_a_loop_is_found(source):
    assert writes_past_the_end(source)


@pytest.mark.parametrize(
    "source",
    [
        "",
        kernel("64L", STORE),
        kernel("66L", PART, "{", STORE, "}"),
        kernel("66L", "tmp_acc0_vec.store(tmpbuf.data(), static_cast<int64_t>(16));"),
        kernel("66L", "auto tmp0 = in_ptr0[static_cast<int64_t>(x0)];") + "\n" + STORE,
    ],
)
def test_other_stores_are_fine(source):
    assert not writes_past_the_end(source)


def padded_product(x):  # torch issue 196681: rows of 66, vectors of 16, a level of the loop nest in between
    v = (x * 0.5) * (torch.erf(x * 0.7071067811865476) + 1)
    a = F.pad(v.permute(3, 2, 1, 0), (0, 0, 0, 58), value=0.5)
    return torch.matmul(F.pad(v, (0, 0, 0, 0, 0, 58), value=0.5), a)


def transposed_product(a, b):
    return (a.t().unsqueeze(2) * b.unsqueeze(0)).sum(1)


CASES = {
    "a padded product": (padded_product, (torch.randn(1, 8, 66, 66).contiguous(memory_format=torch.channels_last),)),
    "a product of 3": (transposed_product, (torch.randn(8, 3), torch.randn(8, 72))),
    "a product of 19": (transposed_product, (torch.randn(8, 19), torch.randn(8, 72))),
}


@pytest.mark.parametrize(("function", "inputs"), CASES.values(), ids=CASES)
def test_results_and_what_lies_behind_them_are_right(function, inputs):
    compiled = tessera.compile(function)
    for _ in range(20):  # memory written over shows when it is freed
        torch.testing.assert_close(compiled(*inputs), function(*inputs), rtol=1e-4, atol=1e-4)
    assert not compiled.report.step_downs
