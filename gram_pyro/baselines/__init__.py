"""Generative models without a recursion, on the same puzzles: what GRAM is compared with."""
