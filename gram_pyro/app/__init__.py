"""What `solve.py` and the page share: a puzzle as text, the solver, the trajectories of a puzzle to look at."""
