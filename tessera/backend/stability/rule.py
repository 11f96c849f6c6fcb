"""What a rule is: a row of the table, with its reason and the inputs that the naive spelling is wrong for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tessera.backend.stability.algebra import Algebra, Value


@dataclass(frozen=True)
class Rule:
    """One rewrite.

    Attributes:
        name: ``"log(sum(exp)) -> logsumexp"``, as the Report shows it.
        on: the operation of the value that it looks at.
        find: the stable value, or None where the rule does not apply.
        when: the conditions, in words.
        proof: why both are equal on paper.
        hostile: inputs at which the naive spelling is wrong, in words.
        tried: it only saves digits that most expressions have to spare; it is for those that a trial shows to have not.
        tried_beside: the same where something is added to what it is about.
    """

    name: str
    on: str
    find: Callable[[Algebra, Value], Value | None]
    when: str
    proof: str
    hostile: str
    tried: bool = False
    tried_beside: bool = False
