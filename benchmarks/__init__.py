"""Peers side by side in one run: `python -m benchmarks`, and on a CUDA GPU `python -m benchmarks.gpu`."""
