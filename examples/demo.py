"""The main job on real data: train, save, compare with PyTorch, export to ONNX and check the answers.

python -m examples.demo [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import onnxruntime
import torch
from rich.console import Console
from rich.text import Text

from examples import digits, gpt, three_ways
from tessera.train import History


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the four parts one after the other."""
    parser = argparse.ArgumentParser("python -m examples.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small models and a few steps only")
    parser.add_argument("--folder", type=Path, default=Path("runs/demo"), help="where to save the models (%(default)s)")
    chosen = parser.parse_args(arguments)
    console, started = Console(highlight=False), time.perf_counter()
    with nullcontext() if chosen.quick else three_ways.nothing_compiled_before():
        images = digits.Digits.load()
        digit_net = digits_part(console, images, chosen.folder, quick=chosen.quick)
        corpus = gpt.Corpus.load()
        gpt_part(console, corpus, chosen.folder, quick=chosen.quick)
        comparison_part(console, images, corpus, quick=chosen.quick)
    onnx_part(console, digit_net, images, chosen.folder)
    console.print(f"\nAll of it took {time.perf_counter() - started:.0f} s.")


def digits_part(console: Console, images: digits.Digits, folder: Path, *, quick: bool) -> digits.DigitNet:
    """Train the digit network with fit and save it."""
    console.rule("[bold]1  Handwritten digits", align="left")
    model = digits.DigitNet()
    console.print(
        f"{len(images.labels):,} images to learn from, {len(images.held_out_labels)} held out; "
        f"a convolutional network of {_size(model)} weights.\n"
    )
    model, history = digits.train(images, folder, epochs=1 if quick else 12, progress=True)
    best = min(history.validation, key=lambda results: results["loss"])
    console.print(f"\nHeld out: loss {best['loss']:.4f}, accuracy {best['accuracy']:.2%}. {history.stopped}.")
    _what_was_done(console, history, folder / "digits.safetensors")
    return model


def gpt_part(console: Console, corpus: gpt.Corpus, folder: Path, *, quick: bool) -> None:
    """Train a byte-level GPT with fit, save it, and let it write."""
    console.rule("[bold]2  A GPT that writes Python, byte by byte", align="left")
    torch.manual_seed(0)
    model = gpt.small() if quick else gpt.GPT()
    console.print(
        f"{len(corpus.text) / 1e6:.1f} MB in {corpus.files} files of Python's standard library to learn from, "
        f"{corpus.held_out_files} files held out; {_size(model)} weights.\n"
    )
    history = gpt.train(model, corpus, folder, steps=5 if quick else 300, progress=True)
    results = history.validation[-1]
    console.print(
        f"\nHeld out: loss {results['loss']:.4f} a byte, next byte right {results['accuracy']:.2%}. "
        f"First and last training loss: {history.loss[0]:.3f}, {history.loss[-1]:.3f}."
    )
    _what_was_done(console, history, folder / "gpt.safetensors")
    console.print("It continues [bold]def [/bold] like this:")
    console.print(Text(model.write("def ", 10 if quick else 160), style="cyan"))


def comparison_part(console: Console, images: digits.Digits, corpus: gpt.Corpus, *, quick: bool) -> None:
    """The same training in plain PyTorch, with torch.compile and with Tessera."""
    console.rule("[bold]3  Beside PyTorch", align="left")
    make_gpt = gpt.small if quick else gpt.GPT
    with console.status("compiling and training each of them"):
        rows = {
            "digits, batch 32": three_ways.compare(
                digits.DigitNet, three_ways.digit_batches(images, 10 if quick else 150)
            ),
            f"GPT, batch {gpt.BATCH} x {make_gpt().length}": three_ways.compare(
                make_gpt, three_ways.text_batches(corpus, 10 if quick else 25, make_gpt().length)
            ),
        }
    console.print(three_ways.table(rows))


def onnx_part(console: Console, model: digits.DigitNet, images: digits.Digits, folder: Path) -> None:
    """Export the digit network in one line and let onnxruntime answer beside it."""
    console.rule("[bold]4  To ONNX", align="left")
    exported = model.export(folder / "digits.onnx")
    console.print(str(exported), soft_wrap=True)

    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())
    from_file = torch.from_numpy(session.run(None, {name: images.held_out_images.numpy()})[0])
    model.eval()
    with torch.no_grad():
        from_model = model(images.held_out_images)
    difference = (from_file - from_model).abs().max().item()
    same = (from_file.argmax(1) == from_model.argmax(1)).sum().item()
    console.print(
        f"On all {len(from_model)} held-out images onnxruntime and the model differ by {difference:.1e} at most and "
        f"name the same digit on [bold]{same} of {len(from_model)}[/bold]."
    )


def _size(model: torch.nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in model.parameters()):,}"


def _what_was_done(console: Console, history: History, saved: Path) -> None:
    console.print(Text(f"Saved to {saved}. What Tessera did:"))
    console.print(Text(f"{history.report}\n", style="dim"), soft_wrap=True)


if __name__ == "__main__":
    main()
