"""Computing a stretch of a graph for some rows at a time, so that what is wide in it never exists as a whole."""
