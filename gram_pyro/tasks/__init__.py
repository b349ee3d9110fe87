"""Tasks: puzzles, their complete solution sets, and the rules that judge answers. One folder per kind of puzzle."""
