"""Trajectories after training: samplers, what steers them, what their answers are worth, bounds on the evidence."""
