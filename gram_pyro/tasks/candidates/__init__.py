"""Puzzles of candidates: any rules made of "exactly one of these" and "at most one of these"."""
