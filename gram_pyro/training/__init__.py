"""Objectives, what prior rollouts are trained on, and the trainer."""
