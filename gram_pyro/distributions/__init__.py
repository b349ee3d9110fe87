"""Laws of latents, and the networks that give their parameters."""
