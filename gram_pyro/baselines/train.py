"""Training a baseline: the same data, optimiser, number of updates and evaluation as GRAM."""

from contextlib import nullcontext
from functools import partial

from torch import Tensor, nn

from gram_pyro.baselines.base import Baseline, sample_baseline
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.tasks.base import Batch
from gram_pyro.training.batch_parts import Part, own_noise
from gram_pyro.training.learner import Learner, TrainSettings
from gram_pyro.training.parallel import add_up, parts, spread


class BaselineTrainer(Learner):
    """One update per batch, on y drawn uniformly from the solutions. The settings num_segments,
    rollout_share and beta have no effect."""

    def __init__(self, baseline: Baseline, settings: TrainSettings) -> None:
        super().__init__(nn.ModuleDict({"baseline": baseline}), settings)
        self.baseline = baseline

    @property
    def averaged(self) -> Baseline:
        return self.ema.module["baseline"]

    def train_on(self, batch: Batch) -> dict[str, Tensor]:
        mine = parts(self.settings.accumulate)
        losses = []
        for part in mine:
            loss = self.loss(batch, part)
            losses.append(loss.detach())
            if part != mine[-1]:
                loss.backward()
        self.step(loss)
        self.check_finite()
        total = sum(losses)
        add_up([total])
        return {"loss": total}

    def loss(self, batch: Batch, part: Part) -> Tensor:
        """A part's share of the loss. Of several parts each draws its own noise, not that of the whole batch."""
        rows = part.of(len(batch.x))
        x, y = batch.x[rows], batch.y[rows]
        alone = nullcontext() if part.count == 1 else own_noise(part, x.device)
        with alone, self.settings.autocast(x.device):
            return len(x) / len(batch.x) * self.baseline.loss(x, y)

    def sample(self, x: Tensor, num_particles: int, num_segments: int, **options: object) -> Trajectories:
        """A baseline has no depth: num_segments means nothing."""
        return spread(partial(sample_baseline, self.averaged), x, num_particles, **options)
