"""Guides q(z_t | u_t, y), one per file. They import gram_pyro; gram_pyro never imports them."""
