"""Every prior at the size of tiny.py, moved off its start."""

from tiny import D, shake

from gram_pyro.priors.annealed import Annealed
from gram_pyro.priors.categorical import Categorical
from gram_pyro.priors.flow import Flow
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.priors.glimpsed import Glimpsed
from gram_pyro.priors.low_rank import LowRank
from gram_pyro.priors.mixture import Mixture
from gram_pyro.priors.student_t import StudentT
from gram_pyro.priors.zero_mean import ZeroMean

PRIORS = {
    "gaussian": lambda dim=D: Gaussian(dim, 6),
    "zero_mean": lambda dim=D: ZeroMean(dim, 6),
    "student_t": lambda dim=D: StudentT(dim, 5.0, 6),
    "mixture": lambda dim=D: Mixture(dim, 3, 6),
    "low_rank": lambda dim=D: LowRank(dim, 2, 6),
    "flow": lambda dim=D: Flow(dim, 2, 6),
    "categorical": lambda dim=D: Categorical(dim, dim // 2, 6),
    "glimpsed": lambda dim=D: Glimpsed(dim, 0.5, 6),
    "annealed": lambda dim=D: Annealed(Gaussian(dim, 6), (2.0, 0.5)),
}
CONTINUOUS = [name for name in PRIORS if name != "categorical"]


def shaken(name, dim=D, size=0.5):
    return shake(PRIORS[name](dim), size)
