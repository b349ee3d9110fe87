"""Sequential Monte Carlo, puzzle by puzzle: weigh K particles after every segment, resample if the ESS is low.

    target after segment n:   p(z) G(h_n), log G in nats
    log-weight:               log G(h_n) - log G(h_m) + sum over the segments since m of log p(z) / q(z)
                              m: the particle's last resampling; log G(h_0) = 0
    evidence:                 Z = E_p[G(h_N)], estimated without bias by the product of the mean weights

The weights telescope: the target at depth n depends on log G(h_n) alone, not on log G at earlier segments.
Source: Del Moral, Doucet & Jasra 2006; one filter per puzzle in a batch: ours.
"""

import torch
from torch import Tensor

from gram_pyro.inference.particles import Cloud
from gram_pyro.inference.resampling import Scheme
from gram_pyro.inference.trajectories import History
from gram_pyro.inference.weights import check, ess, log_mean_exp


class ParticleFilter:
    """Weights and resampling of a cloud of K x B rows (particles first), segment by segment.

    Attributes: log_weights [K, B], nats; weights and ancestors, the history; first, the number of the first puzzle.
    """

    def __init__(self, cloud: Cloud, num_particles: int, resample: Scheme, threshold: float) -> None:
        self.cloud, self.resample, self.threshold = cloud, resample, threshold
        self.first = int(cloud.puzzles[0])
        self.shape = (num_particles, len(cloud.depth) // num_particles)
        self.anchor = cloud.change.new_zeros(self.shape, dtype=torch.float64)  # log G at the last resampling - log p/q
        self.log_weights = torch.zeros_like(self.anchor)
        self.log_evidence = torch.zeros_like(self.anchor[0])
        self.weights: list[Tensor] = []
        self.ancestors: list[Tensor] = []

    def weigh(self, log_ratio: Tensor, log_potential: Tensor) -> None:
        """Weigh the particles after a segment by log p / q of its latents and log G of its final state, both [K B].

        Raises: ValueError if a weight is NaN or +inf.
        """
        self.anchor = self.anchor - log_ratio.view(self.shape)
        self.log_weights = check(log_potential.view(self.shape).double() - self.anchor)
        self.weights.append(self.log_weights)
        self.ancestors.append(self._identity())

    def steer(self) -> None:
        """Resample the puzzles whose ESS is below the threshold.

        Raises: ValueError if all weights of a puzzle are zero.
        """
        if self.threshold == 0:  # then intermediate weights do not matter, even if all are zero
            return
        low = ess(self.log_weights, self.first) < self.threshold * self.shape[0]
        if not low.any():
            return
        parents = self._identity()
        parents[:, low] = self.resample(self.log_weights[:, low])
        self.ancestors[-1] = parents
        self.log_evidence = self.log_evidence + torch.where(low, log_mean_exp(self.log_weights), 0.0)
        # A chosen particle starts again with weight one: its anchor becomes the log G that it was chosen with.
        anchor = torch.where(low, self.anchor + self.log_weights, self.anchor)
        self.anchor = anchor.gather(0, parents)
        self.log_weights = torch.where(low, torch.zeros_like(self.log_weights), self.log_weights)
        self.cloud.select((parents * self.shape[1] + torch.arange(self.shape[1], device=parents.device)).flatten())

    def evidence(self) -> Tensor:
        """log of the unbiased estimate of Z, [B], nats."""
        return self.log_evidence + log_mean_exp(self.log_weights)

    def history(self) -> History:
        return History(torch.stack(self.weights), torch.stack(self.ancestors))

    def _identity(self) -> Tensor:
        return torch.arange(self.shape[0], device=self.anchor.device)[:, None].repeat(1, self.shape[1])
