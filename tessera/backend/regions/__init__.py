"""Blocks that a Program repeats, found by what their operations do and in what order."""
