"""Generative models without recursion, trained on the same puzzles, for comparison with GRAM."""
