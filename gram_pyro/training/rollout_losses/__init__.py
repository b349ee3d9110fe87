"""Losses of prior rollouts: the share rho of the rows whose latents all come from the prior. One loss per file.

    set            every rollout should be right:               E_z [-log p(S | h)]
    multi_sample   one of M rollouts of a puzzle:               E_{z_1..z_M} [-log 1/M sum_m p(S | h^m)]
    cover          M rollouts together find all of S:           E_{z_1..z_M} [-mean_{y in S} log 1/M sum_m p(y | h^m)]
                   in the first segment, where a solution is chosen; then `set`
    nearest        a rollout finds the nearest known answer:    E_z [-max_{y known} log p(y | h)]
    assignment     every rollout finds a different answer:      E_{z_1..z_R} [-max_a mean_r log p(y_a(r) | h^r)]

p(S | h) = sum_{y in S} p(y | h) is the probability that the answer is right. M = `train.rollouts_per_puzzle`. The first
three are negative bounds: on log p(S | x), a tighter one on the same, and on the likelihood of a solution drawn
uniformly. The last two are at least as large as `set`, in this order. They need some right answers, not all of them.
To add one: subclass RolloutLoss, and run it with ``rollout_loss._target_=my_module.MyLoss``.
Source: ours.
"""

from gram_pyro.training.rollout_losses.assignment import Assignment
from gram_pyro.training.rollout_losses.base import Near, RolloutLoss, log_p_right
from gram_pyro.training.rollout_losses.cover import Cover, cover_loss
from gram_pyro.training.rollout_losses.multi_sample import MultiSample, multi_sample_loss
from gram_pyro.training.rollout_losses.nearest import Nearest
from gram_pyro.training.rollout_losses.set_likelihood import Set, set_loss

__all__ = [
    "Assignment",
    "Cover",
    "MultiSample",
    "Near",
    "Nearest",
    "RolloutLoss",
    "Set",
    "cover_loss",
    "log_p_right",
    "multi_sample_loss",
    "set_loss",
]
