"""Tests of the package, file for file; `tests.house` holds the house rules."""
