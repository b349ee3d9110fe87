"""Tasks: puzzles, their complete solution sets, and the rules that judge an answer. One task per file."""
