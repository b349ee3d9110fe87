"""What the program costs: seconds, memory, and the share of the machine it uses. One measurement per file."""
