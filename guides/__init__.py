"""Guides q(z_t | u_t, y), one per file. They build on gram_pyro; gram_pyro never imports them."""
