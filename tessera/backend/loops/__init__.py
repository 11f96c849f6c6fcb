"""Loops over time: one operator in the graph, whatever the number of steps."""
