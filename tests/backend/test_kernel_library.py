"""Kernels of a Program, compiled together."""

import ctypes

import pytest
import torch
from torch._inductor.codegen import common

import tessera
from tessera import torch_internals
from tessera.backend import kernel_library
from tessera.backend.kernel_library import (
    LARGEST,
    WORTH_A_COMPILER,
    KernelLibrary,
    KernelSource,
    address_of,
    compiled_kernels,
    compiled_together,
    grouped,
    is_kernel,
    library_of,
    loaded_kernels,
)

PREFIX = "#include <cstdint>\n#include <stdexcept>\n"
FILL = """
static float twice(float value) { return FACTOR * value; }
extern "C"  void  kernel(float* out, const int64_t count, const double value) {
    if (count < 0) throw std::runtime_error("no such count");
    for (int64_t i = 0; i < count; i++) out[i] = twice(value);
}
"""
ARGUMENTS = ("float*", "const int64_t", "const double")


def fill(factor):
    return KernelSource(ARGUMENTS, PREFIX + FILL.replace("FACTOR", str(factor)))


def of_length(length, text="x"):
    return KernelSource((), text.ljust(length, "y"))


def test_kernels_with_the_same_names_in_them_stand_apart():
    kernels = [fill(2), fill(3), fill(4)]
    found = compiled_kernels(kernels, 1)
    assert len({library_of(found[kernel])[0] for kernel in kernels}) == 1
    for kernel, factor in zip(kernels, (2, 3, 4), strict=True):
        out = torch.zeros(5)
        assert found[kernel](out, 4, 1.5) is None
        assert out.tolist() == [factor * 1.5] * 4 + [0.0]


def test_wrong_calls_raise():
    kernel = fill(2)
    call = compiled_kernels([kernel], 1)[kernel]
    out = torch.zeros(2)
    with pytest.raises(TypeError, match="3 arguments was called with 2"):
        call(out, 2)
    with pytest.raises(TypeError):
        call(out, "two", 1.0)
    with pytest.raises(RuntimeError, match="no such count"):
        call(out, -1, 1.0)
    assert out.tolist() == [0.0, 0.0]


def test_a_library_is_loaded_again_from_its_bytes():
    kernels = [fill(5), fill(6)]
    found = compiled_kernels(kernels, 1)
    library, number = library_of(found[kernels[1]])
    (again,) = loaded_kernels(library, [number])
    assert is_kernel(again)
    assert not is_kernel(len)
    assert not is_kernel(torch.add)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_double)(address_of(again))
    out = torch.zeros(1)
    function(out.data_ptr(), 1, 1.0)
    assert out.item() == 6


def test_a_source_that_the_compiler_refuses_raises():
    with pytest.raises(RuntimeError, match="error"):
        compiled_kernels([KernelSource((), 'extern "C" void kernel() { nothing }')], 1)


@pytest.mark.parametrize(
    ("lengths", "workers", "expected"),
    [
        ([10] * 5, 4, 1),  # too little for more than one compiler
        ([WORTH_A_COMPILER] * 5, 4, 4),
        ([WORTH_A_COMPILER] * 5, 1, 1),
        ([LARGEST] * 3, 1, 3),
    ],
    ids=["small", "many cores", "one core", "large"],
)
def test_there_are_as_many_sources_as_there_is_work_for(lengths, workers, expected):
    kernels = [of_length(length, f"{n} ") for n, length in enumerate(lengths)]
    groups = grouped(kernels, workers)
    assert len(groups) == expected
    assert sorted(k.text for group in groups for k in group) == sorted(k.text for k in kernels)


def test_what_defines_a_macro_is_compiled_alone():
    macro = of_length(100, "#define WIDTH 3\n")
    groups = grouped([of_length(10, "a"), macro, of_length(10, "b")], 1)
    assert [macro] in groups
    assert len(groups) == 2


def test_a_program_of_several_kernels_is_one_source(monkeypatch):
    sources = []
    compiled_library = kernel_library.compiled_library

    def recorded(name, source, *rest):
        sources.append(source)
        return compiled_library(name, source, *rest)

    monkeypatch.setattr(kernel_library, "compiled_library", recorded)
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))

    @tessera.compile
    def f(x):
        for _ in range(3):
            x = torch.softmax(x.sin() @ weight + 0.125, -1).cos()
        return x

    x = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    expected = x
    for _ in range(3):
        expected = torch.softmax(expected.sin() @ weight + 0.125, -1).cos()
    torch.testing.assert_close(f(x), expected)
    assert len(sources) == 1
    assert sources[0].count("namespace kernels_") > 1


def test_inductor_is_itself_again_after_a_compilation():
    @tessera.compile
    def ours(x):
        return x.sin() + 1

    x = torch.arange(3.0)
    ours(x)
    theirs = torch.compile(lambda x: x.cos() - 1)
    torch.testing.assert_close(theirs(x), x.cos() - 1)
    assert common.device_codegens["cpu"].wrapper_codegen.__module__.startswith("torch.")


def test_other_kinds_of_kernels_are_inductors():
    assert KernelLibrary().triton.__self__.__class__.__module__.startswith("torch.")


def test_wrappers_that_are_made_together_share_a_library():
    one, other = {"a": fill(7)}, {"b": fill(8), "number": 1}
    with compiled_together():
        KernelLibrary().wait(one)
        KernelLibrary().wait(other)
        assert not is_kernel(one["a"])
    assert library_of(one["a"])[0] is library_of(other["b"])[0]
    assert other["number"] == 1
    alone = {"a": fill(7)}
    KernelLibrary().wait(alone)
    assert is_kernel(alone["a"])


def test_nothing_is_compiled_for_those_who_failed():
    scope = {"a": fill(9)}

    def fails():
        with compiled_together():
            KernelLibrary().wait(scope)
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        fails()
    assert isinstance(scope["a"], KernelSource)


def test_a_wrapper_without_its_kernels_is_made_anew():
    """Were Inductor to keep the wrapper for the next graph that is equal, that one would have no kernels."""

    def compiled():
        fake_mode = torch_internals.new_fake_mode()
        x = torch_internals.fake_copy(fake_mode, torch.empty(32))
        graph = torch_internals.trace(lambda x: [x.sin() * 0.71875], x, fake_mode=fake_mode)
        return torch_internals.compile_with_inductor(graph, [x])

    def fails():
        with compiled_together():
            compiled()
            raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        fails()
    x = torch.arange(32.0)
    (found,) = torch_internals.without_gradients(compiled().call)([x])
    torch.testing.assert_close(found, x.sin() * 0.71875)
