"""Matrix products that can be one: which belong together, and whether one of them pays."""
