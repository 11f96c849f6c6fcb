"""Ways to choose the codes of a linear layer that follow its inputs; rounding to nearest is `quantized_tensor.py`."""
