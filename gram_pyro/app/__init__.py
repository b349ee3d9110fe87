"""What `solve.py`, the demo page and the command share: puzzles as text, the solver, watched trajectories."""
