"""Compiled code in a file: what stands in it, whose it is, and where it runs."""
