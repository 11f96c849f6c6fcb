"""An ``if`` that a tensor decides: both branches are compiled, from a copy of the function that nobody else sees."""
