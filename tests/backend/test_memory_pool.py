import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tessera import torch_internals
from tessera.backend.memory_pool import SMALLEST, MemoryPool, release_free_memory

LARGE = ((SMALLEST // 4,), (1,), torch.float32)  # exactly the smallest that is kept


@pytest.fixture
def pool():
    return MemoryPool()


def place(tensor):
    return tensor.untyped_storage().data_ptr()


def test_a_dropped_block_is_handed_out_again(pool):
    first = pool.allocate(*LARGE)
    where = place(first)
    del first
    assert place(pool.allocate(*LARGE)) == where


def test_a_block_in_use_is_never_handed_out(pool):
    kept = pool.allocate(*LARGE).fill_(1)
    pool.allocate(*LARGE).fill_(2)
    assert bool((kept == 1).all())


def test_a_view_keeps_its_block(pool):
    whole = pool.allocate(*LARGE).fill_(1)
    where, view = place(whole), whole[3:5]
    del whole
    other = pool.allocate(*LARGE).fill_(2)
    assert place(other) != where
    assert view.tolist() == [1, 1]
    del view
    assert place(pool.allocate(*LARGE)) == where


def test_shape_and_strides_are_as_asked_and_another_shape_shares_the_block(pool):
    rows = SMALLEST // 4 // 256
    first = pool.allocate((rows, 256), (1, rows), torch.float32)
    assert (first.shape, first.stride(), first.dtype) == ((rows, 256), (1, rows), torch.float32)
    where = place(first)
    del first
    assert place(pool.allocate(*LARGE)) == where


def test_another_dtype_and_a_much_smaller_tensor_get_a_block_of_their_own(pool):
    first = pool.allocate((SMALLEST,), (1,), torch.float32)
    where = place(first)
    del first
    assert place(other := pool.allocate((SMALLEST,), (1,), torch.int32)) != where
    assert other.dtype == torch.int32
    assert place(pool.allocate((SMALLEST // 2,), (1,), torch.float32)) != where
    assert place(pool.allocate((SMALLEST * 9 // 10,), (1,), torch.float32)) == where


def test_small_tensors_bypass_the_pool(pool):
    elements = SMALLEST // 4 - 1
    assert pool.allocate((elements,), (1,), torch.float32).shape == (elements,)
    assert pool.allocate((0, 1 << 30), (1 << 30, 1), torch.float32).numel() == 0
    assert not pool._blocks
    pool.allocate(*LARGE)
    assert [len(blocks) for blocks in pool._blocks.values()] == [1]


def test_two_threads_never_get_one_block(pool, monkeypatch):
    pool.allocate(*LARGE)  # a free block
    taking = torch_internals.view_of_memory

    def slowly(*args):
        time.sleep(0.05)  # long enough for the other thread to look for a free block
        return taking(*args)

    monkeypatch.setattr(torch_internals, "view_of_memory", slowly)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: pool.allocate(*LARGE), range(2))
    assert place(first) != place(second)


def test_memory_is_given_back_where_that_is_possible():
    kept = torch.ones(1 << 20)
    release_free_memory()
    assert kept.sum() == 1 << 20
