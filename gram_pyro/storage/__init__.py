"""How files are written: whole or not at all, and tensors with a sum that notices one changed bit."""
