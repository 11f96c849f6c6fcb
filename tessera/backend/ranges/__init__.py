"""Which values a graph can compute, and what of them is known to go wrong in its dtypes."""
