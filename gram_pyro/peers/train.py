"""Training a peer: the same data, optimiser, number of updates and evaluation as GRAM."""

from torch import Tensor, nn

from gram_pyro.learner import Learner, TrainSettings
from gram_pyro.peers.base import Peer, sample_peer
from gram_pyro.tasks.base import Batch
from gram_pyro.trajectories import Trajectories


class PeerTrainer(Learner):
    """One update per batch, on y drawn uniformly from the solutions. Of the settings, num_segments, free_share and beta
    mean nothing here."""

    def __init__(self, peer: Peer, settings: TrainSettings) -> None:
        super().__init__(nn.ModuleDict({"peer": peer}), settings)
        self.peer = peer

    @property
    def averaged(self) -> Peer:
        return self.ema.module["peer"]

    def trajectory(self, batch: Batch) -> dict[str, Tensor]:
        with self.settings.autocast(batch.x.device):
            loss = self.peer.loss(batch.x, batch.y)
        self.step(loss)
        return {"loss": loss.detach()}

    def sample(self, x: Tensor, num_particles: int, num_segments: int, **options: object) -> Trajectories:
        """A peer has no depth: num_segments means nothing."""
        return sample_peer(self.averaged, x, num_particles, **options)
