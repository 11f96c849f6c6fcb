"""Verification before anything runs: annotated functions are run on symbols, on every way through them."""
