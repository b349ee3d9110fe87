"""A training run: its loop, its folder, its checkpoints, its processes."""
