from __future__ import annotations

import sys
import typing

import mpmath
import numpy as np
import sympy
import torch

from tessera.users_code import (
    installed_are_libraries,
    is_installed,
    is_library,
    source_line_at,
    users_frames,
    users_line,
)


def test_torch_python_and_tessera_are_libraries_and_installed_packages_are_not():
    assert is_library(torch.nn.__file__)
    assert is_library(typing.__file__)
    assert is_library(sys.modules["tessera.errors"].__file__)
    assert is_library("<string>")
    assert is_library(sympy.__file__)  # in which torch computes symbolic sizes
    assert is_library(mpmath.__file__)
    assert not is_library(np.__file__)
    assert not is_library(__file__)


def test_the_innermost_line_of_the_user():
    here = users_line(sys._getframe())
    assert (here.file, here.code) == (__file__, "here = users_line(sys._getframe())")
    assert users_line(None) is None
    assert next(users_frames(sys._getframe())).f_code.co_name == "test_the_innermost_line_of_the_user"


def test_a_line_comes_with_its_text():
    assert source_line_at(__file__, 1).code == "from __future__ import annotations"


def test_within_a_check_installed_packages_are_libraries_but_for_the_one_that_is_checked():
    one, other = "/env/lib/python3.11/site-packages/one/a.py", "/env/lib/python3.11/site-packages/other/b.py"
    assert is_installed(one)
    assert not is_installed(torch.nn.__file__)
    assert not is_installed(__file__)
    assert not is_library(one)
    with installed_are_libraries(but_for=__file__):
        assert is_library(one)
        assert not is_library(__file__)
    with installed_are_libraries(but_for=one):
        assert not is_library(one)
        assert is_library(other)
    assert not is_library(other)
