"""The contracts of priors, guides, cores and tasks, checked in seconds. One sentence names a mistake.

    check_prior(MyPrior(dim=16))                  check_guide(partial(MyGuide, dim=16))
    check_core(partial(MyCore, mixer=mixer))      check_task(MyTask())

    Prior, guide: the law of z_t has batch [..., B] and event [L, D], with any leading dimensions. Its support is all of
    R^(L x D), or discrete points of it. Draws and densities are finite, also at u = 0 and |u| ~ 1000, and have the
    dtype of u under bf16 autocast. The law is a function of (u, t), or (u, y, t) for a guide, for every puzzle
    independently. Every parameter gets a gradient.
    Core: a function of the state, for every puzzle independently.
    Task: its lists of solutions, judge and symmetries agree, and test puzzles are unseen.

The checks run on a float32 copy on the CPU, or on the task itself. They do not change the random state.  Source: ours.
"""

from gram_pyro.contract.cores import check_core
from gram_pyro.contract.guides import check_guide
from gram_pyro.contract.laws import DIM, ContractError
from gram_pyro.contract.priors import check_prior
from gram_pyro.contract.tasks import check_task

__all__ = ["DIM", "ContractError", "check_core", "check_guide", "check_prior", "check_task"]
