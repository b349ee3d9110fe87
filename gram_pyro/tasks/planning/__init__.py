"""Shortest ways on a map."""
