"""N-Queens."""
