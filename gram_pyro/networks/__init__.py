"""The deterministic parts: layers, the recursive core, what reads the puzzle and what reads the answer."""
