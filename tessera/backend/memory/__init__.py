"""Memory of a Program: what a run allocates, what it keeps for the backward, and what it may compute again."""
