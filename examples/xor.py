"""XOR, the smallest network that learns something a line cannot: step by step, then through fit.

python -m examples.xor [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch

import tessera

SAMPLES = [((0.0, 0.0), 0.0), ((0.0, 1.0), 1.0), ((1.0, 0.0), 1.0), ((1.0, 1.0), 0.0)]


def network() -> tessera.nn.Sequential:
    """Two inputs, two hidden units, one answer."""
    torch.manual_seed(3)
    layers = [tessera.nn.Linear(2, 2), tessera.nn.Sigmoid(), tessera.nn.Linear(2, 1), tessera.nn.Sigmoid()]
    return tessera.nn.Sequential(layers)


def step_by_step(steps: int) -> tuple[torch.nn.Module, float]:
    """Call the training step once for every sample and read its loss; returns the network and the last loss."""
    net = network()
    step = tessera.train_step(net, "mse", torch.optim.SGD(net.parameters(), lr=1.0))
    value = float("nan")
    for number in range(steps):
        inputs, answer = SAMPLES[number % len(SAMPLES)]
        value = step(torch.tensor([inputs]), torch.tensor([[answer]])).item()
    return net, value


def through_fit(steps: int) -> tuple[torch.nn.Module, float]:
    """Hand the four samples to fit, which runs thousands of steps in one program call."""
    net = network()
    inputs, answers = zip(*SAMPLES, strict=True)
    data = (torch.tensor(inputs), torch.tensor(answers).unsqueeze(1))
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    history = tessera.fit(net, data, loss="mse", optimizer=optimizer, steps=steps, batch_size=1, shuffle=False)
    return net, history.loss[-1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train both ways and print what the network answers."""
    parser = argparse.ArgumentParser("python -m examples.xor", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few steps only")
    steps = 400 if parser.parse_args(arguments).quick else 40_000

    for name, train in (("step by step", step_by_step), ("through fit", through_fit)):
        started = time.perf_counter()
        net, loss = train(steps)
        seconds = time.perf_counter() - started
        print(f"{name}: {steps:,} steps in {seconds:.2f} s, compilation included; last loss {loss:.6f}")
    for inputs, answer in SAMPLES:
        found = net(torch.tensor([inputs])).item()
        print(f"  {inputs[0]:.0f} xor {inputs[1]:.0f} = {found:.3f}  (right: {answer:.0f})")


if __name__ == "__main__":
    main()
