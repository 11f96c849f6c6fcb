"""Models with quantized caches beside those in float32: eager, compiled, in a file."""

from __future__ import annotations

import copy
import inspect

import pytest
import torch

import tessera
from tessera.quantize.cache_layer import install_caches
from tests.quantize.decoders import EVERY, Decoder, answers, calls, decoder


def caches_of(model: torch.nn.Module) -> list[str]:
    return [name for name, buffer in model.named_buffers() if buffer.ndim >= 4]


def quantized(model: torch.nn.Module, form: str = "int8") -> torch.nn.Module:
    result = copy.deepcopy(model)
    install_caches(result, dict.fromkeys(caches_of(model), form))
    return result


def live(model: torch.nn.Module) -> list[torch.Tensor]:
    """Caches that are in memory as numbers."""
    return [part._live for part in model.modules() if getattr(part, "_live", None) is not None]


@pytest.mark.parametrize(("form", "bound"), [("int8", 0.01), ("fp8_e4m3", 0.04), ("fp8_e5m2", 0.08)])
@pytest.mark.parametrize("how", EVERY)
def test_token_after_token_the_answers_are_nearly_those_of_float32(how, form, bound):
    model = decoder(EVERY[how])
    result = quantized(model, form)
    exact, found = answers(model), answers(result)
    error = (found - exact).norm() / exact.norm()
    assert 0 < error < bound
    assert torch.equal(found[:, :4], exact[:, :4])  # the prompt: what a call writes it reads as it wrote it
    assert live(result) == []
    assert isinstance(result, Decoder)
    assert list(inspect.signature(result.forward).parameters) == ["tokens", "at"]


def test_the_codes_are_those_of_what_was_written():
    """Rounded by hand: float32 caches whose rows go through int8 between the calls answer the same."""
    model, result = decoder(), quantized(decoder())

    def by_hand(*call: torch.Tensor) -> torch.Tensor:
        answer = model(*call)
        for name in caches_of(model):
            values = model.get_buffer(name)
            scale = (values.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-38)
            values.copy_((values / scale).round() * scale)
        return answer

    with torch.no_grad():
        for call in calls():
            torch.testing.assert_close(result(*call), by_hand(*call), rtol=1e-5, atol=1e-6)


def test_a_cache_that_is_emptied_forgets():
    result = quantized(decoder())
    first = answers(result)
    result.empty()
    assert torch.equal(answers(result), first)


def test_an_error_in_a_forward_leaves_nothing_half_done():
    result = quantized(decoder())
    tokens, at = next(iter(calls()))
    with pytest.raises(IndexError):
        result(tokens, at + 100)
    assert live(result) == []
    result.empty()
    assert torch.equal(answers(result), answers(quantized(decoder())))


def test_persistence_is_the_buffers_own():
    keys = [key for key in quantized(decoder()).state_dict() if "cache" in key]
    assert keys == [f"layers.{n}.quantized_k_cache.{part}" for n in range(2) for part in ("codes", "scale")]


@pytest.mark.parametrize("how", [pytest.param("Sliced", marks=pytest.mark.slow), "WithModule"])
def test_compiled_it_keeps_the_same_codes(how):
    eager, other = quantized(decoder(EVERY[how])), quantized(decoder(EVERY[how]))
    fast = tessera.compile(other, mode="inference")
    torch.testing.assert_close(answers(fast), answers(eager), rtol=1e-4, atol=1e-5)
    for (name, ours), theirs in zip(eager.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(theirs.float(), ours.float(), rtol=1e-4, atol=1e-5, msg=name)
    assert live(other) == []


@pytest.mark.parametrize("ending", [".onnx", pytest.param(".pt2", marks=pytest.mark.slow)])
def test_a_file_takes_and_keeps_the_codes(tmp_path, ending):
    pytest.importorskip("onnxruntime")
    model = quantized(decoder())
    token = (torch.tensor([[3]]), torch.tensor([0]))
    state = "outputs" if ending == ".onnx" else None
    report = tessera.export(model, tmp_path / f"m{ending}", token, ({}, {}), state=state, measure=False)
    assert report.accepted
    assert "layers.0.quantized_k_cache.codes" in " ".join(report.notes)
