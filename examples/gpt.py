"""A byte-level GPT that learns to write Python from the standard library's own sources.

python -m examples.gpt [--quick]
"""

from __future__ import annotations

import argparse
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import tessera
from tessera.train import History

BYTES = 256
BATCH = 8


@dataclass(frozen=True)
class Corpus:
    """The ``.py`` files of the standard library as bytes ``[n]``, every twentieth file held out."""

    text: torch.Tensor
    held_out: torch.Tensor
    files: int
    held_out_files: int

    @classmethod
    def load(cls) -> Corpus:
        """Read the standard library of the Python that runs this, without its own tests and what was installed."""
        root = Path(sysconfig.get_path("stdlib"))
        inside = {path: path.relative_to(root).parts for path in root.rglob("*.py")}
        left_out = {"site-packages", "dist-packages", "test", "tests", "idle_test"}
        files = sorted(path for path, parts in inside.items() if not left_out.intersection(parts))
        held_out, train = files[::20], [path for place, path in enumerate(files) if place % 20]
        return cls(_bytes_of(train), _bytes_of(held_out), len(train), len(held_out))


def _bytes_of(files: Sequence[Path]) -> torch.Tensor:
    text = b"\n".join(file.read_bytes() for file in files)
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def windows(text: torch.Tensor, count: int, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` random places of the text: bytes ``[count, length]`` and, as labels, the byte after each."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(text) - length, (count,), generator=generator)
    cut = text.unfold(0, length + 1, 1)[starts].long()
    return cut[:, :-1].contiguous(), cut[:, 1:].contiguous()


class GPT(tessera.nn.Module):
    """A transformer decoder over bytes: ``[batch, seq]`` -> ``[batch, seq, 256]``.

    Args:
        layers: transformer blocks.
        dim: channels.
        heads: attention heads.
        length: longest sequence it is trained on.
    """

    def __init__(self, layers: int = 4, dim: int = 128, heads: int = 4, length: int = 128) -> None:
        super().__init__()
        self.length = length
        self.embedding = tessera.nn.Embedding(BYTES, dim)
        rotary = tessera.nn.RotaryEmbedding(dim // heads)
        self.blocks = tessera.nn.Sequential(
            [tessera.nn.TransformerBlock(dim, heads, rotary=rotary) for _ in range(layers)]
        )
        self.norm = tessera.nn.RMSNorm(dim)
        self.head = tessera.nn.Linear(dim, BYTES, bias=False)
        torch.nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(self.embedding(tokens))))

    @torch.no_grad()
    def write(self, prompt: str, count: int, seed: int = 0) -> str:
        """Continue ``prompt`` by ``count`` bytes, drawn from what the model finds likely."""
        self.eval()
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.tensor([list(prompt.encode())])
        for _ in range(count):
            scores = self(tokens[:, -self.length :])[0, -1] / 0.7
            tokens = torch.cat([tokens, torch.multinomial(scores.softmax(0), 1, generator=generator)[None]], 1)
        return bytes(tokens[0].tolist()).decode(errors="replace")


def small() -> GPT:
    """A model for a first look: it compiles and trains in seconds."""
    return GPT(layers=1, dim=32, heads=2, length=32)


def train(model: GPT, corpus: Corpus, folder: Path, *, steps: int, progress: bool | None = None) -> History:
    """Train ``model`` with a warm-up and a cosine schedule, measure it on the held-out files, save it to ``folder``."""
    schedule = tessera.optim.warmup_cosine_decay(0.0, 3e-3, warmup_steps=steps // 10, decay_steps=steps)
    history = model.fit(
        windows(corpus.text, steps * BATCH, model.length, seed=0),
        loss="cross_entropy",
        optimizer=tessera.optim.AdamW(model, lr=schedule, weight_decay=0.1),
        validation=windows(corpus.held_out, 8 * BATCH, model.length, seed=1),
        clip_norm=1.0,
        metrics="accuracy",
        batch_size=BATCH,
        seed=0,
        progress=progress,
    )
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "gpt.safetensors")
    return history


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, save, and let the model write."""
    parser = argparse.ArgumentParser("python -m examples.gpt", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a small model and a few steps only")
    parser.add_argument("--folder", type=Path, default=Path("runs/gpt"), help="where to save the model (%(default)s)")
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    model = small() if chosen.quick else GPT()
    print(train(model, Corpus.load(), chosen.folder, steps=5 if chosen.quick else 500))
    print(model.write("def ", 20 if chosen.quick else 300))
    print(f"saved to {chosen.folder / 'gpt.safetensors'}")


if __name__ == "__main__":
    main()
