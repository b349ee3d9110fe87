"""What runs an experiment: building, loading, run folders, checkpoints, resuming, command lines."""
