"""A GPU that is not here: the same pipeline, its Triton kernels compiled to machine code, and what they would cost."""
