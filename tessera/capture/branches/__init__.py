"""An ``if`` that a tensor decides: both branches are compiled, in a copy of the user's function that nobody else sees."""
