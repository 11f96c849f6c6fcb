"""Quantized models beside what they were made from: accuracy, size and time.

MiniLM in int8 (weights and activations), the byte-level GPT of the demo in int4 weights, and the digit network trained
with weights and activations of four bits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

import tessera
from benchmarks import minilm
from benchmarks.measure import Make, Run, in_turns
from benchmarks.plan import Plan
from benchmarks.row import OURS, Part, Row, faster
from benchmarks.sentences import CALIBRATION, SENTENCES
from examples import gpt
from tessera.export import load_model
from tessera.quantize import Rule, convert

_ROUNDS, _VOCABULARY = 21, 30522
_CALLS = ((32, 128), (8, 64), (1, 16))  # [batch, seq] of MiniLM


def measure(plan: Plan) -> Part:
    """MiniLM, the GPT and the digits, one after the other."""
    return _minilm(plan) + _byte_gpt(plan) + _digits(plan)


def _minilm(plan: Plan) -> Part:
    try:
        model, sentences = minilm.load((*SENTENCES, *CALIBRATION))
    except ImportError:
        return Part([Row("MiniLM int8", "fp32", minilm.INSTALL, target="all", met=None)])
    held_out, calibration = (minilm.padded(part) for part in (sentences[: len(SENTENCES)], sentences[len(SENTENCES) :]))
    result = tessera.quantize(model, target="int8", calibration_data=[calibration], measure=None)
    with torch.inference_mode():
        exact, found = (_pairs(m(*held_out)) for m in (model, result))
    part = Part(
        [
            _at_least("MiniLM int8, ranks of 780 held-out pairs", "fp32", _spearman(exact, found), 0.99),
            _smaller("MiniLM int8", _file_bytes(model), _file_bytes(result), 3.5),
        ],
        [f"MiniLM int8: similarities differ from fp32 by at most {(exact - found).abs().max():.4f}"],
    )
    part += _in_onnxruntime(model, result, held_out, calibration)
    torch.manual_seed(0)
    for shape in _CALLS:
        batch = torch.randint(1000, _VOCABULARY, shape), torch.ones(shape, dtype=torch.int64)
        ways: dict[str, Make] = {
            OURS: _call(result, batch, compiled=True),
            "fp32 compiled": _call(model, batch, compiled=True),
            "fp32 eager": _call(model, batch, compiled=False),
        }
        outcomes = in_turns(ways, plan, rounds=_ROUNDS, warmup=2)
        part += faster(f"MiniLM int8, {shape[0]} x {shape[1]}", outcomes, {"fp32 compiled": 1.5})
    return part


def _in_onnxruntime(
    model: torch.nn.Module, dynamic: torch.nn.Module, held_out: minilm.Batch, calibration: minilm.Batch
) -> Part:
    """The rank correlation of the exported file beside that of the model it was written from."""
    rules = [Rule("embed", weight="int8"), Rule("", weight="int8", act="int8", static=True)]
    static = tessera.quantize(model, rules=rules, calibration_data=[calibration], measure=None)
    part, first = Part(), tuple(each[: minilm.TOGETHER] for each in held_out)
    with torch.inference_mode():
        exact = _pairs(model(*held_out))
    for name, result in (("scales at run time", dynamic), ("calibrated, Q/DQ", static)):
        work = f"MiniLM int8 in onnxruntime, {name}, rank correlation"
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            path = Path(folder) / "model.onnx"
            axes = {0: "B", 1: "S"}
            try:
                dims = {"input_ids": axes, "attention_mask": axes}
                tessera.export(result, path, example_inputs=first, dims=dims, measure=False)
                (answer,) = load_model(path)(*held_out)
            except ImportError as missing:
                part.rows.append(Row(work, "in PyTorch", str(missing).splitlines()[0], target="all", met=None))
                continue
            here, there = _pairs(result(*held_out)), _pairs(answer)
        a, b = _spearman(exact, here), _spearman(exact, there)
        row = _at_most(f"{work} {a:.4f} -> {b:.4f}", abs(a - b), 0.005)
        part.rows.append(replace(row, peer="in PyTorch"))
        part.notes.append(f"{work}: similarities differ from PyTorch's by at most {(here - there).abs().max():.4f}")
    return part


def _byte_gpt(plan: Plan) -> Part:
    corpus = gpt.Corpus.load()
    torch.manual_seed(0)
    model = gpt.small() if plan.quick else gpt.GPT()
    with tempfile.TemporaryDirectory() as folder:
        gpt.train(model, corpus, Path(folder), steps=20 if plan.quick else 500)
    model.eval()
    held_out = gpt.windows(corpus.held_out, 64, model.length, seed=1)
    calibration = gpt.windows(corpus.text, 16, model.length, seed=2)[0]
    part = Part()
    before, text = _loss(model, *held_out), "byte GPT int4, groups of 32"
    for name, rules in _INT4.items():
        result = tessera.quantize(model, rules=rules, calibration_data=[calibration], measure=None)
        after = _loss(result, *held_out)
        part.rows.append(
            _at_most(f"{text}, {name}, held-out loss {before:.4f} -> {after:.4f}", after / before - 1, 0.01)
        )
        part.rows.append(_smaller(f"{text}, {name}", _file_bytes(model), _file_bytes(result), 6.0))
    half = gpt.small() if plan.quick else gpt.GPT()
    half.load_state_dict(model.state_dict())
    half = half.to(torch.bfloat16).eval()
    token = (torch.tensor([[65]]),)
    ways: dict[str, Make] = {
        OURS: _call(result, token, compiled=True),
        "bf16 compiled": _call(half, token, compiled=True),
        "fp32 compiled": _call(model, token, compiled=True),
    }
    outcomes = in_turns(ways, plan, rounds=_ROUNDS, units=1, warmup=2)
    # Logits in int4 are others, by as much as the rows of the loss say; what is computed has to be the same.
    return part + faster(f"{text}, one token", outcomes, {"bf16 compiled": 1.0}, same=0.1)


_INT4 = {
    "rounded": [Rule(r"", weight="int4", group=32)],
    "GPTQ": [Rule(r"embedding", weight="int4", group=32), Rule(r"", weight="int4", group=32, method="gptq")],
}


def _digits(plan: Plan) -> Part:
    try:
        from examples import digits
    except ModuleNotFoundError:
        return Part([Row("digits int4", "fp32", "needs pip install scikit-learn", target="all", met=None)])
    images = digits.Digits.load()
    with tempfile.TemporaryDirectory() as folder:
        model, _ = digits.train(images, Path(folder), epochs=1 if plan.quick else 12)
    model.eval()
    rules = [Rule("", weight="int4", act="int4")]
    calibration = images.images[:256]

    def accuracy(one: torch.nn.Module) -> float:
        with torch.inference_mode():
            return (one(images.held_out_images).argmax(1) == images.held_out_labels).double().mean().item()

    rounded = tessera.quantize(model, rules=rules, calibration_data=[calibration], measure=None)
    trained = tessera.quantize(model, rules=rules, calibration_data=[calibration], measure=None, train="qat")
    tessera.fit(
        trained,
        (images.images, images.labels),
        loss="cross_entropy",
        optimizer=tessera.optim.AdamW(trained, lr=5e-4),
        epochs=1 if plan.quick else 10,
        batch_size=digits.BATCH,
        seed=0,
    )
    done = convert(trained).eval()
    exact, alone, after = accuracy(model), accuracy(rounded.eval()), accuracy(done)
    name = f"digits int4 weights and activations, accuracy {exact:.2%} -> rounded {alone:.2%}, trained {after:.2%}"
    return Part([_at_most(name, 100 * (exact - after), 0.5, "points")])


def _call(model: torch.nn.Module, batch: tuple[torch.Tensor, ...], *, compiled: bool) -> Make:
    def make() -> Run:
        call: Callable[..., torch.Tensor] = tessera.compile(model, mode="inference") if compiled else model

        def run() -> float:
            with torch.inference_mode():
                return call(*batch).float().abs().sum().item()

        return run

    return make


def _loss(model: torch.nn.Module, tokens: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.inference_mode():
        return torch.nn.functional.cross_entropy(model(tokens).float().flatten(0, 1), labels.flatten()).item()


def _pairs(embeddings: torch.Tensor) -> torch.Tensor:
    """Cosine similarity of each pair of rows."""
    first, second = torch.triu_indices(len(embeddings), len(embeddings), offset=1)
    return minilm.similarities([embeddings])[first, second]


def _spearman(a: torch.Tensor, b: torch.Tensor) -> float:
    """Correlation of ranks."""
    ranks = torch.stack([values.argsort().argsort().double() for values in (a, b)])
    return torch.corrcoef(ranks)[0, 1].item()


def _file_bytes(model: torch.nn.Module) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        safetensors.torch.save_model(model, str(path))
        return path.stat().st_size


def _at_least(work: str, peer: str, found: float, least: float) -> Row:
    return Row(work, peer, f"{found:.4f}", target=f">= {least:g}", met=found >= least)


def _at_most(work: str, found: float, most: float, unit: str = "") -> Row:
    return Row(work, "fp32", f"{found:+.4f} {unit}".strip(), target=f"<= {most:g}", met=found <= most)


def _smaller(work: str, before: int, after: int, least: float) -> Row:
    ratio, sizes = before / after, (f"{after / 1e6:.2f} MB", f"{before / 1e6:.2f} MB")
    return Row(f"{work}, file", "fp32", *sizes, f"{ratio:.2f}x", f">= {least:g}x", ratio >= least)
