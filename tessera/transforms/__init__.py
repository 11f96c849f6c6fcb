"""Functions of functions: derivatives, batching, control flow that is captured. They nest in any order."""
