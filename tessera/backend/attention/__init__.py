"""Recognising attention by what a graph computes, not by how it is spelled."""
