"""Stable spellings of what a captured graph computes: a small algebra, its rules, and how they are written back."""
