"""Objectives, losses of prior rollouts, and the trainer."""
