from __future__ import annotations

from tessera.backend.identity_tests import identity_tests, names_stored


def asks(x, a, b, kinds):
    y = x.copy()
    if a is None or (None is not b and type(a) is int):
        return y is x
    first, last = a, b
    if first.value is not last["key"]:
        return a in kinds
    return kinds.count(b)


def test_what_is_asked_and_where():
    begin, tests = asks.__code__.co_firstlineno, identity_tests(asks.__code__)
    found = [(test.lines[0] - begin, test.lines[1] - begin, set(test.names), set(test.parts)) for test in tests]
    assert found == [
        (2, 2, {"b"}, set()),
        (3, 3, {"y", "x"}, set()),
        (5, 5, {"first", "last"}, {"value", "key"}),
    ]


def test_what_a_line_assigns():
    begin = asks.__code__.co_firstlineno
    assert names_stored(asks.__code__, begin + 1) == {"y"}
    assert names_stored(asks.__code__, begin + 4) == {"first", "last"}
    assert names_stored(asks.__code__, begin + 3) == set()
