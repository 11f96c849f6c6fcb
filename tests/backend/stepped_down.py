"""Compiled calls beside plain ones, and why they were not captured."""

from __future__ import annotations

import torch

import tessera


def check(function, *calls):
    compiled = tessera.compile(function)
    for args in calls:
        result, expected = compiled(*args), function(*args)
        assert torch.equal(result[0], expected[0])
        assert result[1:] == expected[1:]
    return [entry.reason for entry in compiled.report.step_downs]
