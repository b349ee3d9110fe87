"""A variational autoencoder: one latent vector for the whole answer, drawn once.

    p(y | x) = int p(y | x, z) N(z; 0, 1) dz,     q(z | x, y) = N(mu, diag sigma^2)([x, y])
    -log p(y | x) <= E_q[-log p(y | x, z)] + KL(q(z | x, y) || N(0, 1))

Source: Kingma and Welling 2014, conditional as in Sohn et al. 2015; the networks are the blocks of GRAM's core.
"""

from collections.abc import Callable

import pyro.distributions as dist
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.nn import functional as F

from gram_pyro.baselines.base import Baseline
from gram_pyro.networks.core import Blocks, State
from gram_pyro.networks.embed import Embedding
from gram_pyro.networks.layers import Mixer
from gram_pyro.networks.readout import Readout


class VAE(Baseline):
    """Args: dim D; embed and readout, of the task's tokens; mixer over tokens, num_layers of encoder and of decoder,
    hidden D_h as of a core; num_latents, the size of z.  An answer is the most probable one given z ~ N(0, 1).
    """

    def __init__(
        self,
        num_cells: int,
        num_symbols: int,
        relations: Tensor | None,
        dim: int,
        embed: Callable[..., Embedding],
        readout: Callable[..., Readout],
        mixer: Mixer,
        num_layers: int = 4,
        hidden: int | None = None,
        num_latents: int = 64,
    ) -> None:
        super().__init__(num_cells, num_symbols)
        self.num_latents = num_latents
        self.clue = embed(num_symbols=num_symbols, dim=dim)
        self.answer = self.clue.for_target()
        tokens = self.clue.num_tokens(num_cells)
        related = self.clue.relations(relations)
        self.encoder = Blocks(dim, tokens, related, mixer, num_layers, hidden)
        self.to_latent = nn.Linear(tokens * dim, 2 * num_latents)
        self.from_latent = nn.Linear(num_latents, tokens * dim)
        self.decoder = Blocks(dim, tokens, related, mixer, num_layers, hidden)
        self.readout = readout(num_symbols=num_symbols, dim=dim)

    def posterior(self, x: Tensor, y: Tensor) -> dist.TorchDistribution:
        """q(z | x, y).  Shapes: x, y [B, L] -> batch [B], event [num_latents]."""
        h = self.encoder(self.clue(x) + self.answer(y)).flatten(-2)
        loc, raw = self.to_latent(h).to(self.to_latent.weight.dtype).chunk(2, -1)
        return dist.Normal(loc, F.softplus(raw) + 1e-3).to_event(1)

    def prior(self, like: Tensor) -> dist.TorchDistribution:
        """p(z) for the rows of `like` [B, ...]."""
        zero = self.to_latent.weight.new_zeros(len(like), self.num_latents)
        return dist.Normal(zero, 1.0).to_event(1)

    def decode(self, x: Tensor, z: Tensor) -> State:
        """The state from which the readout gives p(y | x, z).  Shapes: x [B, L], z [..., B, num_latents]."""
        e = self.clue(x)
        h = self.decoder(e + self.from_latent(z).unflatten(-1, e.shape[-2:])).to(z.dtype)
        return State(h, h)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        q = self.posterior(x, y)
        miss = -self.readout(self.decode(x, q.rsample()), x).log_prob(y)
        return (miss + kl_divergence(q, self.prior(x))).mean()

    def draw(self, x: Tensor) -> Tensor:
        return self.readout.answer(self.decode(x, self.prior(x).sample()), x)

    def log_weights(self, x: Tensor, y: Tensor, num_particles: int) -> Tensor:
        """log p(y, z | x) / q(z | x, y) of K draws, [K, B], nats; `evidence.bound` computes ELBO and IWAE from them."""
        q, p = self.posterior(x, y), self.prior(x)
        z = q.sample((num_particles,))
        return self.readout(self.decode(x, z), x).log_prob(y) + p.log_prob(z) - q.log_prob(z)
