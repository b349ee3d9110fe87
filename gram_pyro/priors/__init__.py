"""Priors p(z_t | u_t), one per file."""
