"""What every prior, guide, core and task keeps to, checked in seconds; a mistake is named in one sentence.

    check_prior(MyPrior(dim=16))                  check_guide(partial(MyGuide, dim=16))
    check_core(partial(MyCore, mixer=mixer))      check_task(MyTask())

    z_t ~ a law with batch [..., B] and event [L, D], any leading dims, on all of R^(L x D) or on discrete points of it;
    draws and densities finite, also at u = 0 and |u| ~ 1000, and of u's dtype under bf16 autocast; a function of
    (u, t), for a guide of (u, y, t), puzzle by puzzle; every parameter gets a gradient. A core is a function of the
    state, puzzle by puzzle. A task's lists of solutions, its judge and its symmetries agree, and tests are unseen.

What is checked is a float32 copy on the CPU, or a task itself; the random state is left as it was.  Source: ours.
"""

from gram_pyro.contract.cores import check_core
from gram_pyro.contract.guides import check_guide
from gram_pyro.contract.laws import DIM, ContractError
from gram_pyro.contract.priors import check_prior
from gram_pyro.contract.tasks import check_task

__all__ = ["DIM", "ContractError", "check_core", "check_guide", "check_prior", "check_task"]
