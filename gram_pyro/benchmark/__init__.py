"""The cost of the program: seconds, memory, and the share of the machine that it uses. One measurement per file."""
