"""Handwritten digits: 1,797 real images of 8 x 8 pixels that come with scikit-learn, and a small convolutional network.

python -m examples.digits [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.datasets import load_digits

import tessera
from tessera.train import EarlyStopping, History

HELD_OUT = 357  # leaves 1,440: whole batches of 32
BATCH = 32


@dataclass(frozen=True)
class Digits:
    """Images ``[n, 1, 8, 8]`` with pixels from 0 to 1 and labels ``[n]`` from 0 to 9, split in a fixed way."""

    images: torch.Tensor
    labels: torch.Tensor
    held_out_images: torch.Tensor
    held_out_labels: torch.Tensor

    @classmethod
    def load(cls) -> Digits:
        """The images that come with scikit-learn."""
        bundled = load_digits()
        images = torch.from_numpy(bundled.images).float().unsqueeze(1) / 16
        labels = torch.from_numpy(bundled.target).long()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        test, train = order[:HELD_OUT], order[HELD_OUT:]
        return cls(images[train], labels[train], images[test], labels[test])


class DigitNet(tessera.nn.Module):
    """Two convolutions and two linear layers: ``[batch, 1, 8, 8]`` -> ``[batch, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.features = tessera.nn.Sequential(
            [
                tessera.nn.Conv2d(1, 16, 3, padding=1),
                tessera.nn.ReLU(),
                tessera.nn.Conv2d(16, 32, 3, stride=2, padding=1),
                tessera.nn.ReLU(),
                tessera.nn.Flatten(),
            ]
        )
        self.head = tessera.nn.Sequential([tessera.nn.Linear(512, 64), tessera.nn.ReLU(), tessera.nn.Linear(64, 10)])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


def train(digits: Digits, folder: Path, *, epochs: int, progress: bool | None = None) -> tuple[DigitNet, History]:
    """Train a network, stopping when the held-out loss gets no better, and save it to ``folder``."""
    torch.manual_seed(0)
    model = DigitNet()
    history = model.fit(
        (digits.images, digits.labels),
        loss="cross_entropy",
        optimizer=tessera.optim.AdamW(model, lr=2e-3),
        epochs=epochs,
        validation=(digits.held_out_images, digits.held_out_labels),
        metrics="accuracy",
        early_stopping=EarlyStopping(patience=5),
        batch_size=BATCH,
        seed=0,
        progress=progress,
    )
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "digits.safetensors")
    return model, history


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, save, and print the history."""
    parser = argparse.ArgumentParser("python -m examples.digits", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one epoch only")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/digits"), help="where to save the model (%(default)s)"
    )
    chosen = parser.parse_args(arguments)
    _, history = train(Digits.load(), chosen.folder, epochs=1 if chosen.quick else 15)
    print(history)
    print(f"saved to {chosen.folder / 'digits.safetensors'}")


if __name__ == "__main__":
    main()
